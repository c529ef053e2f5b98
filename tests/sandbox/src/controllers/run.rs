//! The loop that drives the controllers: any change of what they look at starts a pass over everything.

use std::{sync::Arc, time::Duration};

use super::{daemonset, deployment, kubelet::Kubelets, nodes, objects::Refused, operator};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use http::Request;

/// What the controllers look at.
const WATCHED: &[&str] = &[
    "/api/v1/nodes",
    "/api/v1/pods",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    operator::INSTALLATIONS,
];
/// Changes that come together are looked at together.
const GATHER: Duration = Duration::from_millis(2);
/// After a pass that failed.
const AGAIN: Duration = Duration::from_millis(100);

/// Runs until the world ends.
pub(super) async fn run(kubelets: Arc<Kubelets>) {
    for path in WATCHED {
        let following = Arc::clone(&kubelets);
        kubelets.tasks.spawn(async move {
            let stop = following.stop.clone();
            stop.run_until_cancelled(follow(&following, path)).await;
        });
    }
    let work = async {
        loop {
            kubelets.changed.notified().await;
            tokio::time::sleep(GATHER).await;
            if let Err(refused) = pass(&kubelets).await {
                // Mostly lost races: the next look will see what won.
                tracing::debug!(%refused, "A pass of the controllers was cut short");
                tokio::time::sleep(AGAIN).await;
                kubelets.changed.notify_one();
            }
        }
    };
    kubelets.stop.run_until_cancelled(work).await;
}

async fn pass(kubelets: &Arc<Kubelets>) -> Result<(), Refused> {
    let objects = &kubelets.objects;
    let (listed_nodes, pods) =
        tokio::try_join!(objects.list("/api/v1/nodes"), objects.list("/api/v1/pods"))?;
    let (daemonsets, deployments) = tokio::try_join!(
        objects.list("/apis/apps/v1/daemonsets"),
        objects.list("/apis/apps/v1/deployments")
    )?;
    kubelets.reconcile(&pods);
    daemonset::reconcile(objects, &listed_nodes, &pods, &daemonsets).await?;
    deployment::reconcile(objects, &deployments).await?;
    operator::reconcile(objects, &daemonsets).await?;
    nodes::reconcile(kubelets, &listed_nodes, &pods).await?;
    nodes::collect_garbage(kubelets, &listed_nodes, &pods, &daemonsets).await
}

/// Tells of every change of a kind; a watch that ends is started anew, unless there is no such kind: what the data
/// center has is installed before the controllers run.
async fn follow(kubelets: &Kubelets, path: &str) {
    loop {
        let request = Request::get(format!("{path}?watch=true"))
            .body(Vec::new())
            .expect("a constant path is a valid URI");
        match kubelets.objects.client().request_stream(request).await {
            Ok(stream) => {
                let mut lines = stream.lines();
                while let Ok(Some(_)) = lines.try_next().await {
                    kubelets.changed.notify_one();
                }
            }
            Err(kube::Error::Api(status)) if status.code == 404 => return,
            Err(error) => tracing::debug!(path, %error, "A watch of the controllers failed"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
