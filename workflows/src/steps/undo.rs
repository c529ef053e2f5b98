//! What the undos of steps that change things of others share.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;

use crate::sdk::Context;

/// Refuses the undo of a change that was found done by this very workflow with no record of what was there before: only
/// a creation could be undone by its marker alone. It rests STUCK.
///
/// # Errors
/// Permanent in that case.
pub(super) fn require_before_image(context: &Context) -> Result<(), Failure> {
    if context.verdict != Some(Verdict::Ours) {
        return Ok(());
    }
    Err(Failure::permanent(format!(
        "step {} found its own change in the world without a record of what was there before (the journal is older than the world): \
         put it back by hand, then skip the step",
        context.step
    ))
    .with_code("BEFORE_IMAGE_LOST"))
}
