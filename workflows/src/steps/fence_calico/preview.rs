//! What a plan shows of `fence-calico`: the very object that `apply` would write, without what it does not touch.

use causeway_engine::Failure;
use causeway_engine::event::Verdict;
use serde_json::{Value, json};

use super::{Before, fenced, output_of};
use crate::kubernetes::marker::MARKER;
use crate::kubernetes::{Resource, Verb, verbs};
use crate::preview::{Change, Preview};
use crate::sdk::{Context, value};
use crate::steps::check_kubernetes::{CalicoFacts, CalicoInstall, CheckKubernetesOutput};

/// The verbs that it needs.
pub(crate) fn needs(calico: Option<&CalicoFacts>) -> Vec<Verb> {
    match calico {
        Some(facts) if facts.install == CalicoInstall::Operator => {
            verbs(&Resource::INSTALLATIONS, None, &["get", "patch"])
        }
        Some(facts) => {
            verbs(&Resource::DAEMON_SETS, Some(facts.namespace.as_str()), &["get", "patch"])
        }
        None => Vec::new(),
    }
}

pub(super) fn preview(context: &Context) -> Result<Preview, Failure> {
    let calico = context.output_of::<CheckKubernetesOutput>("check-kubernetes")?.calico;
    let before: Before = context.before_image()?;
    let object = before.target.object();
    let (kind, id) = (object.resource.kind().to_lowercase(), object.id());
    let change = if context.verdict == Some(Verdict::Change) {
        let present = touched_part(&before);
        Change::modify(&kind, id, &present, &fenced(&before, &present, &context.workflow))
    } else {
        Change::keep(&kind, id)
    };
    let undo = format!(
        "takes just these expressions out of {} again, once no node of this workflow is left; kept while a cloud node of \
         somebody else needs them",
        before.target
    );
    Ok(Preview::undone_by(undo)
        .change(change)
        .expecting(value(&output_of(&before, false)))
        .needing(needs(Some(&calico))))
}

/// The object as it is, reduced to what is changed.
fn touched_part(before: &Before) -> Value {
    let mut present = json!({});
    if !before.affinity.is_null() {
        before.target.set_affinity(&mut present, before.affinity.clone());
    }
    if let Some(marker) = &before.unmarked.marker {
        present["metadata"]["annotations"][MARKER] = marker.clone().into();
    }
    present
}

#[cfg(test)]
mod tests {
    use super::super::FenceCalico;
    use crate::kubernetes::Resource;
    use crate::sdk::Action;
    use crate::steps::testing::{Bench, kubernetes_facts};
    use serde_json::json;

    #[tokio::test]
    async fn the_affinity_that_is_added_is_shown_beside_the_one_that_is_there() {
        let mut bench = Bench::new("fence-calico");
        bench.output("check-kubernetes", kubernetes_facts());
        let zone = json!({"key": "zone", "operator": "Exists"});
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [zone]}]}}});
        bench.kube.put(
            &Resource::DAEMON_SETS.at("kube-system", "calico-node"),
            json!({"spec": {"template": {"spec": {"affinity": affinity}}}}),
        );
        bench.observe(&FenceCalico).await.unwrap();
        let preview = FenceCalico.preview(bench.context()).await.unwrap();
        assert_eq!(preview.changes[0].id, "kube-system/calico-node");
        let expected = "\
+ metadata:
+   annotations:
+     causeway.io/workflow: w0123456789abcde
  spec:
    template:
      spec:
        affinity:
          nodeAffinity:
            requiredDuringSchedulingIgnoredDuringExecution:
              nodeSelectorTerms:
              - matchExpressions:
                - key: zone
                  operator: Exists
+               - key: alibabacloud.com/external
+                 operator: NotIn
+                 values:
+                 - \"true\"
+               - key: type
+                 operator: NotIn
+                 values:
+                 - virtual-kubelet
";
        assert_eq!(preview.changes[0].diff, expected, "{}", preview.changes[0].diff);
        assert!(preview.kubernetes.iter().any(|need| need.verb == "patch"));
        // What it shows is what it does.
        bench.apply(&FenceCalico).await.unwrap();
        let after = bench.kube.object(&Resource::DAEMON_SETS.at("kube-system", "calico-node"));
        let shown = crate::preview::diff(
            &serde_json::Value::Null,
            &after.unwrap()["spec"]["template"]["spec"]["affinity"],
        );
        assert!(shown.contains("virtual-kubelet"), "{shown}");
    }
}
