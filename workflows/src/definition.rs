//! A definition: templates with their work, edges, keys and limits, expanded over an input into the engine's steps.

use std::sync::Arc;

use causeway_engine::definition::{self, GraphError};
use causeway_engine::ids::ResourceKey;
use causeway_engine::{DefinitionRef, Limits, LostCall, StepKind, StepName, StepSpec};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::sdk::{Action, Check, Facts};
use crate::timing::Timing;

/// What a template does.
#[derive(Clone)]
pub enum Work {
    /// Reads only.
    Check(Arc<dyn Check>),
    /// Changes something.
    Action(Arc<dyn Action>),
    /// Waits for approval.
    Gate,
}

/// How long what a template found or made is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Only for the build.
    No,
    /// For as long as the cluster lives: its verification looks again.
    Always,
    /// For a time of its own: once that is over, its verification says so, and calls it no drift.
    UntilItExpires {
        /// Code of the failure with which the step says that the time is over.
        expired: &'static str,
        /// Code of the warning.
        code: &'static str,
        /// What has expired, and what follows from it.
        message: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}

/// One template of a definition.
#[derive(Clone)]
pub struct Template {
    /// `create-node-pool`; durable.
    pub name: &'static str,
    /// What it does.
    pub work: Work,
    /// Templates that must have passed first. Between two that fan out over the same list the edge joins equal keys.
    pub after: Vec<&'static str>,
    /// JSON pointer to a list in the input; one step per entry, by the entry's `name`.
    pub fan_out: Option<&'static str>,
    /// The keys that it holds.
    pub keys: fn(&Facts<'_>) -> Vec<ResourceKey>,
    /// Steps of one group are undone by one decision.
    pub undo_group: Option<&'static str>,
    /// What a lost call may still do.
    pub lost_call: LostCall,
    /// From its first mutation on, the only way is forward.
    pub pivot: bool,
    /// Its undo also runs at a good end.
    pub finally: bool,
    /// How long what it found or made is to hold; default: actions for always, checks and gates for the build.
    pub lasts: Lasts,
    /// Its limits, from the timing; default [`Timing::limits`].
    pub limits: fn(&Timing) -> Limits,
}

impl Template {
    /// A template with the defaults: no keys, no group, a lost call may land.
    #[must_use]
    pub fn new(name: &'static str, work: Work) -> Self {
        let lasts = if matches!(work, Work::Action(_)) { Lasts::Always } else { Lasts::No };
        Self {
            name,
            work,
            lasts,
            after: Vec::new(),
            fan_out: None,
            keys: |_| Vec::new(),
            undo_group: None,
            lost_call: LostCall::MayLand,
            pivot: false,
            finally: false,
            limits: Timing::limits,
        }
    }

    /// A check.
    #[must_use]
    pub fn check(name: &'static str, check: impl Check + 'static) -> Self {
        Self::new(name, Work::Check(Arc::new(check)))
    }

    /// An action.
    #[must_use]
    pub fn action(name: &'static str, action: impl Action + 'static) -> Self {
        Self::new(name, Work::Action(Arc::new(action)))
    }

    /// Comes after these.
    #[must_use]
    pub fn after(mut self, templates: &[&'static str]) -> Self {
        self.after.extend_from_slice(templates);
        self
    }

    /// Fans out over a list of the input.
    #[must_use]
    pub fn over(mut self, pointer: &'static str) -> Self {
        self.fan_out = Some(pointer);
        self
    }

    /// Holds these keys.
    #[must_use]
    pub fn keys(mut self, keys: fn(&Facts<'_>) -> Vec<ResourceKey>) -> Self {
        self.keys = keys;
        self
    }

    /// Belongs to an undo group.
    #[must_use]
    pub fn group(mut self, group: &'static str) -> Self {
        self.undo_group = Some(group);
        self
    }

    /// What a lost call may still do.
    #[must_use]
    pub fn lost_call(mut self, lost_call: LostCall) -> Self {
        self.lost_call = lost_call;
        self
    }

    /// Holds for another time.
    #[must_use]
    pub fn lasts(mut self, lasts: Lasts) -> Self {
        self.lasts = lasts;
        self
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: fn(&Timing) -> Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// A saga's definition.
#[derive(Clone)]
pub struct Definition {
    /// `hybrid-cluster`.
    pub name: &'static str,
    /// From 1; another set of templates or edges is another revision.
    pub revision: u32,
    /// Its templates.
    pub templates: Vec<Template>,
    /// JSON pointer to the id of the cluster that it locks; none for definitions that touch no cluster.
    pub cluster_id: Option<&'static str>,
    /// The definition whose finished builds it undoes, of the same revision; none for definitions that build.
    pub undoes: Option<&'static str>,
}

impl Definition {
    /// Name, revision and digest.
    #[must_use]
    pub fn reference(&self) -> DefinitionRef {
        let mut hasher = Sha256::new();
        for template in &self.templates {
            let kind = kind_of(&template.work);
            let line = format!(
                "{}|{kind:?}|{}|{:?}|{:?}|{:?}|{}|{}\n",
                template.name,
                template.after.join(","),
                template.fan_out,
                template.undo_group,
                template.lost_call,
                template.pivot,
                template.finally
            );
            hasher.update(line.as_bytes());
        }
        DefinitionRef {
            name: self.name.to_owned(),
            revision: self.revision,
            digest: hex::encode(hasher.finalize()),
        }
    }

    /// The template of that name.
    #[must_use]
    pub fn template(&self, name: &str) -> Option<&Template> {
        self.templates.iter().find(|template| template.name == name)
    }

    /// The lock that a workflow of this definition holds.
    #[must_use]
    pub fn lock(&self, input: &Value) -> Option<ResourceKey> {
        let id = input.pointer(self.cluster_id?)?.as_str()?;
        Some(ResourceKey::new(format!("cluster/{id}")))
    }

    /// The steps over an input.
    ///
    /// # Errors
    /// Where they form no acyclic graph, or are too many.
    pub fn expand(
        &self,
        input: &Value,
        account_id: &str,
        timing: &Timing,
    ) -> Result<Vec<StepSpec>, GraphError> {
        let mut steps = Vec::new();
        for template in &self.templates {
            for key in keys_over(template, input) {
                let facts = Facts { input, account_id, key: key.as_deref() };
                steps.push(StepSpec {
                    name: step_name(template.name, key.as_deref()),
                    template: template.name.to_owned(),
                    kind: kind_of(&template.work),
                    after: self.edges(template, key.as_deref(), input),
                    pivot: template.pivot,
                    finally: template.finally,
                    undo_group: template.undo_group.map(str::to_owned),
                    keys: (template.keys)(&facts),
                    lost_call: template.lost_call,
                    limits: (template.limits)(timing),
                    key,
                });
            }
        }
        definition::validate(&steps)?;
        Ok(steps)
    }

    fn edges(&self, template: &Template, key: Option<&str>, input: &Value) -> Vec<StepName> {
        let mut after = Vec::new();
        for name in &template.after {
            let Some(earlier) = self.template(name) else {
                after.push(StepName::from(*name));
                continue;
            };
            if earlier.fan_out.is_some() && earlier.fan_out == template.fan_out {
                after.push(step_name(name, key));
            } else {
                after.extend(
                    keys_over(earlier, input).iter().map(|key| step_name(name, key.as_deref())),
                );
            }
        }
        after
    }
}

fn keys_over(template: &Template, input: &Value) -> Vec<Option<String>> {
    let Some(pointer) = template.fan_out else { return vec![None] };
    let entries = input.pointer(pointer).and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("name")?.as_str())
        .map(|name| Some(name.to_owned()))
        .collect()
}

fn step_name(template: &str, key: Option<&str>) -> StepName {
    match key {
        Some(key) => StepName::new(format!("{template}[{key}]")),
        None => StepName::from(template),
    }
}

fn kind_of(work: &Work) -> StepKind {
    match work {
        Work::Check(_) => StepKind::Check,
        Work::Action(_) => StepKind::Action,
        Work::Gate => StepKind::Gate,
    }
}
