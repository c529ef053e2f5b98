//! Faults by rule, for calls with the daemon's own credentials: what to break, where, how often. It knows no product:
//! the caller passes only the daemon's calls, and gives each fault its meaning.

mod boundaries;
mod rule;
mod uses;

use std::sync::{Arc, Mutex, MutexGuard};

use crate::time::Pace;

pub use boundaries::{At, Boundaries, Boundary, Passage, Side};
pub(crate) use rule::glob;
pub use rule::{Fault, Rule, RuleError};
pub use uses::{KubernetesUse, Uses};

/// The rules in force, and the boundaries that the daemon's mutating calls pass; one of these is shared by the cloud
/// and all API servers of a world.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    boundaries: Arc<Boundaries>,
    uses: Uses,
}

/// One call of the daemon, as rules and boundaries see it.
#[derive(Debug, Clone)]
pub struct CallName {
    /// `ram`, `cs`, `oss`, …, or `k8s`.
    pub product: String,
    /// The API's name; for `k8s` VERB-RESOURCE.
    pub action: String,
    /// What it is about: a user, a pool's name, `NAMESPACE/NAME`, `BUCKET/KEY`. Empty: nothing in particular.
    pub object: String,
    /// Whether it may change the world: only such calls have boundaries.
    pub mutating: bool,
}

/// The connection is to be closed without an answer: call [`cut`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut;

impl Faults {
    /// No rules.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds a rule in its text form.
    ///
    /// # Errors
    /// When the text is no rule; the error names the part that is wrong.
    pub fn add(&self, text: &str) -> Result<(), RuleError> {
        let rule = text.parse()?;
        self.rules().push(rule);
        Ok(())
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// The rules still in force, in their text form with what is left of their counts.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        self.rules().iter().map(ToString::to_string).collect()
    }

    /// The fault for this call of the daemon, if a rule matches: the first one, whose count goes down by one.
    #[must_use]
    pub fn take(&self, product: &str, action: &str, object: &str) -> Option<Fault> {
        let mut rules = self.rules();
        let index = rules.iter().position(|rule| rule.matches(product, action, object))?;
        let fault = rules[index].fault.clone();
        if rules[index].spend() {
            rules.remove(index);
        }
        Some(fault)
    }

    /// The boundaries of the daemon's mutating calls.
    #[must_use]
    pub fn boundaries(&self) -> Arc<Boundaries> {
        Arc::clone(&self.boundaries)
    }

    /// The permissions that the daemon's calls have used.
    #[must_use]
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// The way in of a call of the daemon: takes its fault, sits out a delay, passes the boundary before the effect.
    /// The fault that comes back is the caller's to carry out, except for `cut-after`, which [`Faults::leave`] does.
    ///
    /// # Errors
    /// [`Cut`] when there must be neither effect nor answer.
    pub async fn enter(&self, call: &CallName, pace: Pace) -> Result<Option<Fault>, Cut> {
        let mut fault = self.take(&call.product, &call.action, &call.object);
        if let Some(Fault::Delay(delay)) = fault {
            pace.sleep(delay).await;
            fault = None;
        }
        if fault == Some(Fault::CutBefore) {
            return Err(Cut);
        }
        if call.mutating && self.boundaries.pass(call, Side::Before).await == Passage::Drop {
            return Err(Cut);
        }
        Ok(fault)
    }

    /// The way out of a call of the daemon: passes the boundary after the effect.
    ///
    /// # Errors
    /// [`Cut`] when the answer must not be sent.
    pub async fn leave(&self, call: &CallName, fault: Option<&Fault>) -> Result<(), Cut> {
        if call.mutating && self.boundaries.pass(call, Side::After).await == Passage::Drop {
            return Err(Cut);
        }
        if fault == Some(&Fault::CutAfter) { Err(Cut) } else { Ok(()) }
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().expect("nothing panics while it holds the rules")
    }
}

/// Closes the connection of the request that is being handled, without an answer: the task that serves the
/// connection unwinds, silently, and drops its socket. To be called in a request handler only, whose connection is
/// served by a task of its own.
pub fn cut() -> ! {
    std::panic::resume_unwind(Box::new("connection cut by a fault rule"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call(action: &str) -> CallName {
        CallName {
            product: "cs".into(),
            action: action.into(),
            object: String::new(),
            mutating: true,
        }
    }

    #[test]
    fn a_rule_is_spent_by_its_count_and_then_gone() {
        let faults = Faults::new();
        faults.add("ram:*:throttle:2").unwrap();
        assert_eq!(faults.take("ecs", "DescribeInstances", ""), None);
        assert_eq!(faults.take("ram", "CreateUser", "u"), Some(Fault::Throttle));
        assert_eq!(faults.list(), ["ram:*:throttle:1"]);
        assert_eq!(faults.take("ram", "GetUser", "u"), Some(Fault::Throttle));
        assert_eq!(faults.take("ram", "GetUser", "u"), None);
    }

    #[test]
    fn write_stands_for_every_mutating_verb_of_a_resource() {
        let faults = Faults::new();
        faults.add("k8s:write-configmaps@kube-system/eni-config:error=403:*").unwrap();
        let fault = Some(Fault::Error { status: 403, code: None });
        let object = "kube-system/eni-config";
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            assert_eq!(faults.take("k8s", &format!("{verb}-configmaps"), object), fault, "{verb}");
        }
        assert_eq!(faults.take("k8s", "get-configmaps", object), None);
        assert_eq!(faults.take("k8s", "patch-configmaps", "kube-system/other"), None);
        assert_eq!(faults.take("k8s", "patch-secrets", object), None);
    }

    #[tokio::test]
    async fn a_delay_is_sat_out_at_the_pace_of_the_world_and_then_the_call_goes_on() {
        let faults = Faults::new();
        faults.add("cs:X:delay=30s").unwrap();
        let started = tokio::time::Instant::now();
        assert_eq!(faults.enter(&call("X"), Pace::new(3000.0)).await, Ok(None));
        assert!(started.elapsed() >= Duration::from_millis(10));
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_cut_is_before_or_after_the_effect() {
        let faults = Faults::new();
        faults.add("cs:X:cut-before").unwrap();
        faults.add("cs:X:cut-after").unwrap();
        assert_eq!(faults.enter(&call("X"), Pace::new(1.0)).await, Err(Cut));
        let fault = faults.enter(&call("X"), Pace::new(1.0)).await.unwrap();
        assert_eq!(faults.leave(&call("X"), fault.as_ref()).await, Err(Cut));
        assert_eq!(faults.enter(&call("X"), Pace::new(1.0)).await, Ok(None));
    }
}
