//! What a plan shows of `create-ram-policy`: the document that `apply` would write.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::Value;

use super::{Before, POLICY_NAME, output};
use crate::preview::{Change, Preview, known_after};
use crate::sdk::Context;

/// The kind in the ledger.
const KIND: &str = "ram-policy";

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    let before: Before = context.before_image()?;
    if context.verdict != Some(Verdict::Change) {
        return Ok(Preview::undone_by(
            "nothing of its own; a policy that Causeway made goes with the last cluster that relies on it",
        )
        .change(Change::keep(KIND, POLICY_NAME)));
    }
    let document = |text: &str| {
        serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::String(text.to_owned()))
    };
    let wanted = document(&before.wanted);
    let (change, undo, version) = match &before.there {
        None => (
            Change::create(KIND, POLICY_NAME, &wanted),
            "deletes the policy with its versions, unless another cluster of the account relies on it by then".to_owned(),
            "v1".to_owned(),
        ),
        Some(there) => (
            Change::modify(KIND, POLICY_NAME, &document(&there.document), &wanted),
            format!(
                "makes version {} the default again and deletes the one that was added, unless another cluster relies on it by then",
                there.default_version
            ),
            known_after(context.step.as_str()),
        ),
    };
    Ok(Preview::undone_by(undo).change(change).expecting(output(&version)))
}
