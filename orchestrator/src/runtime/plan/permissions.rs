//! What the daemon must be allowed for a plan's steps, and whether it is. Kubernetes is asked; RAM can't be asked, so only what
//! the plan's own calls have shown is told, and everything else is said to be unknown.

use std::collections::{BTreeMap, BTreeSet};

use causeway_workflows::kubernetes::Verb;
use causeway_workflows::{Connection, Work};
use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::{PlannedStep, STEPS_AT_A_TIME};

/// A permission that the daemon needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// `ram:CreateUser`, or `patch daemonsets in kube-system`.
    pub name: String,
    /// Whether it is one of the cloud (else: of the cluster).
    pub cloud: bool,
    /// Whether the daemon has it.
    pub allowed: Allowed,
    /// The steps that need it.
    pub steps: Vec<String>,
}

/// Whether the daemon has a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// It was asked for, or used.
    Granted,
    /// It was refused.
    Missing,
    /// There is no way to tell without doing it.
    Unknown,
}

/// RAM actions of all steps, with what the plan's calls have shown.
pub(super) fn cloud<'a>(
    works: impl Iterator<Item = (&'a str, &'a Work)>,
    seen: &BTreeMap<String, bool>,
) -> Vec<Permission> {
    let mut needed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (template, work) in works {
        let actions = match work {
            Work::Check(check) => check.ram_actions(),
            Work::Action(action) => action.ram_actions(),
            Work::Gate => &[],
        };
        for action in actions {
            needed.entry(action).or_default().push(template.to_owned());
        }
    }
    let permission = |(name, steps): (&str, Vec<String>)| Permission {
        allowed: match seen.get(name) {
            Some(true) => Allowed::Granted,
            Some(false) => Allowed::Missing,
            None => Allowed::Unknown,
        },
        name: name.to_owned(),
        cloud: true,
        steps,
    };
    needed.into_iter().map(permission).collect()
}

/// The verbs that the previews name, each asked once.
pub(super) async fn cluster(
    connection: &Connection,
    cluster_id: &str,
    steps: &[PlannedStep],
    until: Instant,
) -> Vec<Permission> {
    let mut needed: Vec<(Verb, BTreeSet<String>)> = Vec::new();
    for step in steps {
        for verb in step.preview.iter().flat_map(|preview| &preview.kubernetes) {
            match needed.iter_mut().find(|(known, _)| known == verb) {
                Some((_, steps)) => {
                    steps.insert(step.spec.template.clone());
                }
                None => needed.push((verb.clone(), BTreeSet::from([step.spec.template.clone()]))),
            }
        }
    }
    if needed.is_empty() {
        return Vec::new();
    }
    let cluster = connection.clusters.get(cluster_id).await;
    let ask = |(verb, steps): (Verb, BTreeSet<String>)| {
        let cluster = cluster.as_ref().ok();
        async move {
            let answer = match cluster {
                Some(cluster) => timeout_at(until, cluster.allowed(&verb)).await.ok(),
                None => None,
            };
            let allowed = match answer {
                Some(Ok(true)) => Allowed::Granted,
                Some(Ok(false)) => Allowed::Missing,
                Some(Err(_)) | None => Allowed::Unknown,
            };
            Permission {
                name: verb.to_string(),
                cloud: false,
                allowed,
                steps: steps.into_iter().collect(),
            }
        }
    };
    let mut asked: Vec<Permission> =
        stream::iter(needed).map(ask).buffer_unordered(STEPS_AT_A_TIME).collect().await;
    asked.sort_by(|a, b| a.name.cmp(&b.name));
    asked
}
