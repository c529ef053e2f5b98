//! What a workflow is made of: steps with their edges, keys and limits. A definition is expanded into [`StepSpec`]s once, at the
//! start; the journal keeps them, so that a workflow can be read and undone by its own record.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{ResourceKey, StepName};

/// Most steps that a workflow may have: bounds a record and the work per event.
pub const STEPS_MAX: usize = 256;

/// The definition that a workflow runs: name, revision, and a digest over templates and edges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionRef {
    /// `hybrid-cluster`.
    pub name: String,
    /// From 1.
    pub revision: u32,
    /// Hex SHA-256 over the templates; another digest under the same name and revision parks the workflow.
    pub digest: String,
}

/// What kind of step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Reads only.
    Check,
    /// Changes something, and has an undo.
    Action,
    /// Waits for approval.
    Gate,
}

/// What a mutating call whose answer was lost may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostCall {
    /// It may land until its deadline and the settle time have passed: nothing is concluded from an absence before that.
    MayLand,
    /// The same, but going forward it may be repeated at once, as the name makes the repetition harmless.
    IdempotentByName,
    /// It carries a condition (resourceVersion, ETag) that a later state of the world fails.
    MustFail,
}

/// The deadlines of a step, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// For all mutating calls of one attempt.
    pub attempt_ms: u64,
    /// After that, until a lost call can no longer land.
    pub settle_ms: u64,
    /// For all of `confirm`, or for a check that waits.
    pub confirm_ms: u64,
    /// Retries going forward end after this.
    pub give_up_ms: u64,
    /// Retries of the undo end after this, as STUCK.
    pub undo_give_up_ms: u64,
}

/// One step, expanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// `create-node-pool[burst]`.
    pub name: StepName,
    /// `create-node-pool`.
    pub template: String,
    /// `burst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Check, action or gate.
    pub kind: StepKind,
    /// Steps that must have passed first; read backwards it is the order of undo.
    pub after: Vec<StepName>,
    /// From its first mutation on, the only way is forward.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pivot: bool,
    /// Its undo also runs at a good end.
    #[serde(default, skip_serializing_if = "is_false")]
    pub finally: bool,
    /// Steps of the same group are undone by one decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_group: Option<String>,
    /// Held from observe to the known outcome of the attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ResourceKey>,
    /// What a lost call may still do.
    pub lost_call: LostCall,
    /// Deadlines.
    pub limits: Limits,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A set of steps that is no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two steps have one name.
    #[error("step {0} is there twice")]
    Duplicate(StepName),
    /// An edge leads nowhere.
    #[error("step {step} comes after {after}, which does not exist")]
    UnknownStep {
        /// The step.
        step: StepName,
        /// What it names.
        after: StepName,
    },
    /// The edges form a circle.
    #[error("the steps after {0} form a circle")]
    Circle(StepName),
    /// A step outside an undo group stands between two of its members: neither could be undone first.
    #[error("step {step} stands between members of the undo group {group}")]
    GroupPierced {
        /// The step.
        step: StepName,
        /// The group.
        group: String,
    },
    /// Too many steps.
    #[error("{0} steps, at most {STEPS_MAX} are allowed")]
    TooMany(usize),
}

/// Checks that the steps form a directed acyclic graph, and that each name is there once.
///
/// # Errors
/// The first fault found.
pub fn validate(steps: &[StepSpec]) -> Result<(), GraphError> {
    if steps.len() > STEPS_MAX {
        return Err(GraphError::TooMany(steps.len()));
    }
    let mut names = BTreeSet::new();
    for step in steps {
        if !names.insert(&step.name) {
            return Err(GraphError::Duplicate(step.name.clone()));
        }
    }
    for step in steps {
        if let Some(after) = step.after.iter().find(|after| !names.contains(after)) {
            return Err(GraphError::UnknownStep { step: step.name.clone(), after: after.clone() });
        }
    }
    let mut open: BTreeMap<&StepName, usize> =
        steps.iter().map(|step| (&step.name, step.after.len())).collect();
    while !open.is_empty() {
        let ready: Vec<&StepName> =
            open.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
        if ready.is_empty() {
            let first =
                open.keys().next().map_or_else(|| StepName::from("?"), |name| (*name).clone());
            return Err(GraphError::Circle(first));
        }
        for name in ready {
            open.remove(name);
            for step in steps.iter().filter(|step| step.after.contains(name)) {
                let uses = step.after.iter().filter(|after| *after == name).count();
                if let Some(count) = open.get_mut(&step.name) {
                    *count -= uses;
                }
            }
        }
    }
    groups_are_whole(steps)
}

/// No step outside a group comes after one member and before another.
fn groups_are_whole(steps: &[StepSpec]) -> Result<(), GraphError> {
    let groups: BTreeSet<&str> =
        steps.iter().filter_map(|step| step.undo_group.as_deref()).collect();
    for group in groups {
        let member = |name: &StepName| {
            steps.iter().any(|step| step.name == *name && step.undo_group.as_deref() == Some(group))
        };
        // Outside steps that come, however far, after a member.
        let mut outside: BTreeSet<&StepName> = BTreeSet::new();
        for _ in 0..steps.len() {
            for step in steps.iter().filter(|step| step.undo_group.as_deref() != Some(group)) {
                if step.after.iter().any(|name| member(name) || outside.contains(name)) {
                    outside.insert(&step.name);
                }
            }
        }
        let members = steps.iter().filter(|step| step.undo_group.as_deref() == Some(group));
        if let Some(name) = members.flat_map(|step| &step.after).find(|name| outside.contains(name))
        {
            return Err(GraphError::GroupPierced { step: name.clone(), group: group.to_owned() });
        }
    }
    Ok(())
}
