//! What a plan shows of `create-ram-user`.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::json;

use super::{AddonUser, comments};
use crate::preview::{Change, Preview, known_after};
use crate::sdk::{Context, value};

/// The kind in the ledger.
const KIND: &str = "ram-user";

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    let wanted: AddonUser = context.before_image()?;
    let name = wanted.user_name.clone();
    if context.verdict != Some(Verdict::Change) {
        return Ok(
            Preview::undone_by("nothing: the user was there").change(Change::keep(KIND, name))
        );
    }
    let user = json!({"user_name": name, "comments": comments(context)?});
    let expected = AddonUser { user_id: known_after(context.step.as_str()), ..wanted };
    Ok(Preview::undone_by(
        "deletes the user together with its key and the Secret; all three are kept while another policy, group or key hangs on it",
    )
    .change(Change::create(KIND, name, &user))
    .expecting(value(&expected)))
}
