//! What a plan shows of `attach-ram-policy`.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::json;

use super::{AddonUser, Attachment, POLICY_NAME};
use crate::preview::{Change, Preview};
use crate::sdk::{Context, value};

/// The kind in the ledger.
const KIND: &str = "ram-attachment";

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    let user: AddonUser = context.output_of("create-ram-user")?;
    let id = format!("{POLICY_NAME}/{}", user.user_name);
    if context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        return Ok(
            Preview::undone_by("nothing: it was attached before").change(Change::keep(KIND, id))
        );
    }
    let grant = json!({"policy_name": POLICY_NAME, "user_name": user.user_name});
    let expected = Attachment {
        user_name: user.user_name,
        policy_name: POLICY_NAME.to_owned(),
        attached: false,
    };
    Ok(Preview::undone_by(
        "detaches the policy from the user again, once the add-on and all network interfaces are gone",
    )
    .change(Change::create(KIND, id, &grant))
    .expecting(value(&expected)))
}
