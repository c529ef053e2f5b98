//! What a plan shows of `install-terway`.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::json;

use super::{Before, DAEMON_SET, NAMESPACE, output_of};
use crate::kubernetes::{Resource, Verb, verbs};
use crate::preview::{Change, Preview};
use crate::sdk::{Context, value};

/// The kind in the ledger.
const KIND: &str = "addon";

/// The verbs that the guard of Calico's CRDs needs; the add-on itself is installed by the cluster's agent.
pub(crate) fn needs() -> Vec<Verb> {
    let mut needed = verbs(&Resource::CRDS, None, &["list", "create", "patch"]);
    needed.extend(verbs(&Resource::IP_POOLS, None, &["list", "create", "patch"]));
    needed
}

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    if context.verdict.is_some_and(|verdict| verdict != Verdict::Change) {
        return Ok(Preview::undone_by("nothing: the add-on was installed before")
            .change(Change::keep(KIND, DAEMON_SET))
            .needing(needs()));
    }
    let before: Before = context.before_image()?;
    let addon = json!({
        "addon": DAEMON_SET,
        "version": before.version,
        "daemonset": format!("{NAMESPACE}/{DAEMON_SET}, on nodes with alibabacloud.com/external=true only"),
    });
    Ok(Preview::undone_by(
        "uninstalls the add-on, once no cloud node is left, and puts back what it did to Calico's CRDs and their objects; STUCK \
         where a CRD that was there before could go with it",
    )
    .change(Change::create(KIND, DAEMON_SET, &addon))
    .expecting(value(&output_of(&before.version, String::new())))
    .needing(needs()))
}
