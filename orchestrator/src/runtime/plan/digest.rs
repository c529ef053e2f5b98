//! Digests of what was seen. They are HMACs throughout, under the store's key: what is sensitive counts, and can't be guessed
//! by trying values.

use causeway_engine::input::StepOutcome;
use causeway_engine::{Failure, event::Verdict};
use causeway_workflows::sdk::Context;
use causeway_workflows::{Template, dispatch};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::store::seal::Sealer;

/// Hex digits of a part.
const PART_DIGITS: usize = 16;
/// Hex digits of a whole plan's digest.
pub const WHOLE_DIGITS: usize = 32;

/// The digest of one part.
pub(super) fn part(sealer: &Sealer, seen: &Value, sealed: &[(String, SecretString)]) -> String {
    let mut text =
        sealer.digest("plan-part", canonical(sealer, seen, sealed).to_string().as_bytes());
    text.truncate(PART_DIGITS);
    text
}

/// The digest of a whole plan.
pub(super) fn whole(sealer: &Sealer, parts: &std::collections::BTreeMap<String, String>) -> String {
    let mut text = sealer.digest("plan", json!(parts).to_string().as_bytes());
    text.truncate(WHOLE_DIGITS);
    format!("{}{text}", super::DIGEST_PREFIX)
}

/// With sorted fields, and an HMAC of the plaintext for each sealed reference: the reference's own id is another every time.
fn canonical(sealer: &Sealer, value: &Value, sealed: &[(String, SecretString)]) -> Value {
    match value {
        Value::Object(fields) => {
            if let Some(id) = fields.get("$secret").and_then(Value::as_str) {
                let plain = sealed.iter().find(|(known, _)| known == id);
                let hidden = plain.map(|(_, secret)| {
                    sealer.digest("plan-secret", secret.expose_secret().as_bytes())
                });
                return json!({"hidden": hidden});
            }
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            let sorted = names.into_iter();
            let sorted =
                sorted.map(|name| (name.clone(), canonical(sealer, &fields[name], sealed)));
            Value::Object(sorted.collect::<Map<String, Value>>())
        }
        Value::Array(items) => {
            items.iter().map(|item| canonical(sealer, item, sealed)).collect::<Vec<_>>().into()
        }
        plain => plain.clone(),
    }
}

/// Holds a look of a running workflow to its plan: where it saw something else, it fails before anything is changed by it.
pub(in crate::runtime) fn hold(
    sealer: &Sealer,
    planned: &str,
    template: &Template,
    context: &Context,
    outcome: StepOutcome,
) -> StepOutcome {
    // What this very workflow has done already is no change of the world by others, and a look that failed says it itself.
    if matches!(
        outcome,
        StepOutcome::Observed { verdict: Verdict::Ours, .. } | StepOutcome::Failed(_)
    ) {
        return outcome;
    }
    let Some(seen) = dispatch::evidence(template, context, &outcome) else { return outcome };
    let found = {
        let sealed = context.sealed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        part(sealer, &seen, &sealed)
    };
    if found == planned {
        return outcome;
    }
    let message = format!(
        "step {}: the world is another one than the plan saw that this workflow was started by; plan anew, then start",
        context.step
    );
    StepOutcome::Failed(Failure::permanent(message).with_code("PLAN_STALE"))
}
