//! What a plan shows of `create-node-pool`: the very body that `apply` would send.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use secrecy::SecretString;

use super::{CreatedNodePool, KIND, body, wanted};
use crate::preview::{Change, Preview, SENSITIVE, known_after};
use crate::sdk::{Context, value};

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    let (_, wanted) = wanted(context)?;
    let name = wanted.name.clone();
    if context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        return Ok(Preview::undone_by("deletes the pool, once it has no nodes")
            .change(Change::keep(KIND, name)));
    }
    let password = wanted.login.password.as_ref().map(|_| SecretString::from(SENSITIVE));
    let body = body(&wanted, context, password.as_ref());
    let expected = CreatedNodePool {
        nodepool_id: known_after(context.step.as_str()),
        name: name.clone(),
        task_id: String::new(),
    };
    Ok(Preview::undone_by("deletes the pool, once it has no nodes")
        .change(Change::create(KIND, name, &body))
        .expecting(value(&expected)))
}
