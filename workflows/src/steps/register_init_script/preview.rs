//! What a plan shows of `register-init-script`. The ConfigMap is read even where the new URL is not known yet, so that the
//! plan shows which one it replaces.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::{Value, json};

use super::{KEY, RegisterInitScriptOutput, config_map, script_path, wanted, written};
use crate::kubernetes::{Resource, Verb, cluster_of, verbs};
use crate::preview::{Change, Preview};
use crate::sdk::{Context, value};

/// The kind in the ledger.
const KIND: &str = "configmap";

/// The verbs that it needs.
pub(crate) fn needs() -> Vec<Verb> {
    verbs(&Resource::CONFIG_MAPS, Some("kube-system"), &["get", "create", "patch", "delete"])
}

pub(super) async fn preview(context: &Context) -> Result<Preview, Failure> {
    let url = wanted(context)?;
    let id = config_map().id();
    if context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        return Ok(Preview::undone_by("nothing: the URL was registered before")
            .change(Change::keep(KIND, id))
            .needing(needs()));
    }
    let present = cluster_of(context).await?.get(&config_map()).await?;
    let after = written(present.as_ref().map(touched_part).as_ref(), &url, &context.workflow);
    let (change, undo) = match &present {
        None => (
            Change::create(KIND, id, &after),
            format!(
                "deletes the ConfigMap, or takes {KEY} out again where others have added to it"
            ),
        ),
        Some(present) => (
            Change::modify(KIND, id, &shown(touched_part(present)), &after),
            format!("puts the former value of {KEY} back, and gives the agent its time to take it"),
        ),
    };
    Ok(Preview::undone_by(undo)
        .change(change)
        .expecting(value(&RegisterInitScriptOutput { url }))
        .needing(needs()))
}

/// The ConfigMap, reduced to what is changed.
fn touched_part(present: &Value) -> Value {
    match script_path(present) {
        Some(url) => json!({"data": {KEY: url}}),
        None => json!({}),
    }
}

/// What follows the `?` of a URL may be a signature, which is a credential.
fn shown(mut part: Value) -> Value {
    if let Some((plain, _)) = script_path(&part).and_then(|url| url.split_once('?')) {
        part["data"][KEY] = format!("{plain}?(sensitive)").into();
    }
    part
}

#[cfg(test)]
mod tests {
    use super::super::RegisterInitScript;
    use super::*;
    use crate::sdk::Action;
    use crate::steps::testing::Bench;

    #[tokio::test]
    async fn the_former_url_is_shown_without_its_signature() {
        for observed in [true, false] {
            let mut bench = Bench::new("register-init-script");
            bench.output("publish-init-script", json!({"url": "http://b/new.sh"}));
            bench.kube.put(
                &config_map(),
                json!({"data": {KEY: "https://old/x.sh?Signature=xyzzy", "isInit": "true"}}),
            );
            if observed {
                bench.observe(&RegisterInitScript).await.unwrap();
            }
            let preview = RegisterInitScript.preview(bench.context()).await.unwrap();
            let diff = &preview.changes[0].diff;
            assert!(diff.contains("-   addNodeScriptPath: https://old/x.sh?(sensitive)"), "{diff}");
            assert!(diff.contains("+   addNodeScriptPath: http://b/new.sh"), "{diff}");
            assert!(!diff.contains("xyzzy") && !diff.contains("isInit"), "{diff}");
        }
    }
}
