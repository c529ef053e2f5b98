//! What a plan shows of `store-addon-secret`: the Secret that `apply` would make, without what is secret in it.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use secrecy::SecretString;

use super::{AddonKey, SECRET_KEY_ID, SECRET_KEY_SECRET, object, output_of, secret_ref};
use crate::kubernetes::{Resource, Verb, verbs};
use crate::preview::{Change, Preview, SENSITIVE};
use crate::sdk::{Context, value};

/// The kind in the ledger.
const KIND: &str = "secret";

/// The verbs that it needs.
pub(crate) fn needs() -> Vec<Verb> {
    verbs(&Resource::SECRETS, Some("kube-system"), &["get", "create", "delete"])
}

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    let key: AddonKey = context.output_of("create-access-key")?;
    let id = secret_ref().id();
    if context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        return Ok(Preview::undone_by("nothing: the Secret was there")
            .change(Change::keep(KIND, id))
            .needing(needs()));
    }
    let mut secret = object(&key.access_key_id, &SecretString::default(), context);
    secret["data"][SECRET_KEY_ID] = key.access_key_id.clone().into();
    secret["data"][SECRET_KEY_SECRET] = SENSITIVE.into();
    Ok(Preview::undone_by(
        "deletes the Secret, unless somebody has changed it or anything else hangs on its user",
    )
    .change(Change::create(KIND, id, &secret))
    .expecting(value(&output_of(&key)))
    .needing(needs()))
}
