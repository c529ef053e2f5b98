//! Waits until the add-on's AccessKey may really do what Terway begins with: grants take effect late.

use causeway_engine::Failure;
use tokio::time::{Duration, sleep};

use crate::alibaba::{Client, vpc};
use crate::kubernetes::Cluster;
use crate::sdk::Context;
use crate::spec::Spec;
use crate::steps::addon_identity::{SECRET_NAME, SECRET_NAMESPACE, read_secret};

/// Tries a DescribeVSwitches with the key in the cluster's Secret, for as long as [`crate::Timing::key_grace`].
pub(super) async fn wait(
    context: &Context,
    client: &Client,
    cluster: &Cluster,
    spec: &Spec,
) -> Result<(), Failure> {
    let stored =
        read_secret(cluster).await?.filter(|stored| stored.is_whole()).ok_or_else(|| {
            Failure::permanent(format!(
                "Secret {SECRET_NAMESPACE}/{SECRET_NAME} holds no AccessKey any more; start again"
            ))
            .with_code("ADDON_KEY_MISSING")
        })?;
    let as_addon = client.signing_with(stored.credentials);
    let mut waited = Duration::ZERO;
    let pause = context.timing.poll.max(Duration::from_millis(1));
    loop {
        let error = match vpc::describe_vswitches(&as_addon, &spec.vpc.id).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_denied() || error.is_unknown_key() => error,
            Err(error) => return Err(error.into()),
        };
        if waited >= context.timing.key_grace {
            let told = Failure::from(error);
            return Err(Failure {
                message: format!(
                    "the add-on's AccessKey {} still may not DescribeVSwitches after {waited:?}: {}; look at the policies of its RAM user",
                    as_addon.key_id(),
                    told.message
                ),
                class: causeway_engine::FailureClass::Permanent,
                ..told
            });
        }
        context.still_time()?;
        sleep(pause).await;
        waited += pause;
    }
}
