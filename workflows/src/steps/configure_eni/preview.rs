//! What a plan shows of `configure-eni`: the fields of the JSON inside the ConfigMap that `apply` would change. Others are
//! never shown, as they may hold what nobody expects there.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::{KEY, eni_conf, reference, texts, without_key};
use crate::kubernetes::{Resource, Verb, verbs};
use crate::preview::{Change, Preview, SENSITIVE, known_after};
use crate::sdk::Context;

/// The kind in the ledger.
const KIND: &str = "configmap";

/// The verbs that it needs.
pub(crate) fn needs() -> Vec<Verb> {
    let mut needed = verbs(&Resource::CONFIG_MAPS, Some("kube-system"), &["get", "patch"]);
    needed.extend(verbs(&Resource::PODS, Some("kube-system"), &["list", "delete"]));
    needed
}

pub(super) async fn preview(context: &Context) -> Result<Preview, Failure> {
    let id = reference().id();
    if context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        return Ok(Preview::undone_by("nothing: it was configured like this before")
            .change(Change::keep(KIND, id))
            .needing(needs()));
    }
    let (before, ours) = match context.verdict {
        Some(_) => texts(context).await?,
        None => (String::new(), expected(context)?),
    };
    let (before, ours) = differing(&before, &ours);
    let part = |fields: Map<String, Value>| {
        if fields.is_empty() { Value::Null } else { json!({"data": {KEY: fields}}) }
    };
    Ok(Preview::undone_by(format!(
        "puts back just these fields of {KEY}; what others have changed since stays. Terway's pods are restarted, if there are any"
    ))
    .change(Change::modify(KIND, id, &part(before), &part(ours)))
    .expecting(json!({}))
    .needing(needs()))
}

/// The text as far as it is known before the add-on has made its ConfigMap.
fn expected(context: &Context) -> Result<String, Failure> {
    let (mut wanted, in_conf) = without_key(context)?;
    if in_conf {
        let id = known_after("store-addon-secret");
        wanted.access = Some((id, SecretString::from(SENSITIVE)));
    }
    eni_conf::merge("", &wanted)
        .map_err(|unfit| Failure::permanent(unfit.to_string()).with_code("CONFLICT"))
}

/// The fields that are not the same in both.
fn differing(before: &str, ours: &str) -> (Map<String, Value>, Map<String, Value>) {
    let parse =
        |text: &str| -> Map<String, Value> { serde_json::from_str(text).unwrap_or_default() };
    let (before, ours) = (parse(before), parse(ours));
    let only = |fields: &Map<String, Value>, other: &Map<String, Value>| {
        let differs = |(name, value): &(&String, &Value)| other.get(*name) != Some(*value);
        fields.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    (only(&before, &ours), only(&ours, &before))
}
