//! What a plan shows of `create-access-key`: never a secret, as there is none yet.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::{Value, json};

use super::{AddonKey, AddonUser};
use crate::preview::{Change, Preview, SENSITIVE, known_after};
use crate::sdk::{Context, value};

/// The kind in the ledger.
const KIND: &str = "access-key";

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    let user: AddonUser = context.output_of("create-ram-user")?;
    if context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        let id = context.output["access_key_id"].as_str().unwrap_or_default();
        return Ok(Preview::undone_by("nothing: the cluster's Secret had the key")
            .change(Change::keep(KIND, id)));
    }
    let id = known_after(context.step.as_str());
    let key =
        json!({"user_name": user.user_name, "access_key_id": id, "access_key_secret": SENSITIVE});
    let expected = AddonKey {
        user_name: user.user_name,
        access_key_id: id.clone(),
        access_key_secret: Value::Null,
    };
    Ok(Preview::undone_by("deletes just this key, together with its user and the Secret")
        .change(Change::create(KIND, id, &key))
        .expecting(value(&expected)))
}
