//! A workflow in the hand of a test: feeds inputs, keeps the journal, checks at every record that replay is live.

use causeway_engine::apply::{number, replay};
use causeway_engine::event::{By, RunOptions, Started, Undone, Verdict};
use causeway_engine::input::{Operation, OperationKind, Refusal, StepOutcome, Verb};
use causeway_engine::state::UndoPhase;
use causeway_engine::{
    DefinitionRef, Event, Failure, FailureClass, Input, Limits, LostCall, PublicState, Record,
    Rejection, StepKind, StepName, StepSpec, Time, Workflow, WorkflowId, decide,
};
use serde_json::{Value, json};

pub(crate) const LIMITS: Limits = Limits {
    attempt_ms: 1_000,
    settle_ms: 100,
    confirm_ms: 10_000,
    give_up_ms: 5_000,
    undo_give_up_ms: 20_000,
};

pub(crate) fn step(name: &str, kind: StepKind, after: &[&str]) -> StepSpec {
    StepSpec {
        name: name.into(),
        template: name.to_owned(),
        key: None,
        kind,
        after: after.iter().map(|name| StepName::from(*name)).collect(),
        pivot: false,
        finally: false,
        undo_group: None,
        keys: Vec::new(),
        lost_call: LostCall::MayLand,
        limits: LIMITS,
    }
}

pub(crate) fn check(name: &str, after: &[&str]) -> StepSpec {
    step(name, StepKind::Check, after)
}

pub(crate) fn action(name: &str, after: &[&str]) -> StepSpec {
    step(name, StepKind::Action, after)
}

pub(crate) fn by() -> By {
    By { principal: "ann".to_owned(), reason: "because".to_owned() }
}

pub(crate) struct Sim {
    pub(crate) state: Workflow,
    pub(crate) records: Vec<Record>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) now: Time,
}

impl Sim {
    pub(crate) fn start(steps: Vec<StepSpec>) -> Self {
        Self::start_with(steps, RunOptions::default())
    }

    pub(crate) fn start_with(steps: Vec<StepSpec>, options: RunOptions) -> Self {
        let mut sim = Self::unstarted(steps, options);
        sim.feed(Input::Begin).unwrap();
        sim
    }

    pub(crate) fn unstarted(steps: Vec<StepSpec>, options: RunOptions) -> Self {
        causeway_engine::definition::validate(&steps).unwrap();
        let started = Started {
            id: WorkflowId::from("w1"),
            definition: DefinitionRef {
                name: "test".to_owned(),
                revision: 1,
                digest: String::new(),
            },
            input: Value::Null,
            options,
            labels: Default::default(),
            connection: String::new(),
            cluster: "dc1".to_owned(),
            lock: Some("cluster/c1".into()),
            steps,
            by: by(),
            traceparent: String::new(),
            plan: None,
            teardown: None,
        };
        let now = Time(1_000_000);
        let first = Record { seq: 1, at: now, event: Event::Started(Box::new(started)) };
        Self { state: replay([&first]).unwrap(), records: vec![first], operations: Vec::new(), now }
    }

    pub(crate) fn feed(&mut self, input: Input) -> Result<Vec<Event>, Rejection> {
        self.feed_refused(input, &[])
    }

    pub(crate) fn feed_refused(
        &mut self,
        input: Input,
        refusals: &[Refusal],
    ) -> Result<Vec<Event>, Rejection> {
        let (decision, next) = decide(&self.state, &input, self.now, refusals)?;
        let records = number(self.state.seq, self.now, decision.events.clone());
        self.records.extend(records);
        let replayed = replay(&self.records).unwrap();
        assert_eq!(replayed, next, "replay is not live after {input:?}");
        let text = serde_json::to_string(&self.records.last()).unwrap();
        let back: Option<Record> = serde_json::from_str(&text).unwrap();
        assert_eq!(
            back.as_ref(),
            self.records.last(),
            "a record does not survive its storage format"
        );
        self.state = next;
        for operation in decision.operations {
            if !self.operations.contains(&operation) {
                self.operations.push(operation);
            }
        }
        Ok(decision.events)
    }

    /// Takes the operation out and answers it.
    pub(crate) fn answer(
        &mut self,
        step: &str,
        kind: OperationKind,
        outcome: StepOutcome,
    ) -> Vec<Event> {
        let index = self
            .operations
            .iter()
            .position(|operation| operation.step.as_str() == step && operation.kind == kind);
        let index = index.unwrap_or_else(|| {
            panic!("no {kind:?} of {step} is under way; there are {:?}", self.operations)
        });
        let operation = self.operations.remove(index);
        let retry_at = self.now.plus_ms(100);
        self.feed(Input::Finished { operation, outcome, retry_at }).unwrap()
    }

    pub(crate) fn pass(&mut self, step: &str) -> Vec<Event> {
        self.answer(
            step,
            OperationKind::Check,
            StepOutcome::Passed { output: json!({}), warnings: Vec::new() },
        )
    }

    pub(crate) fn observe(&mut self, step: &str, verdict: Verdict) -> Vec<Event> {
        let outcome = StepOutcome::Observed {
            before: json!({ "was": step }),
            verdict,
            claim: None,
            output: json!({}),
            warnings: Vec::new(),
        };
        self.answer(step, OperationKind::Observe, outcome)
    }

    /// Observes, applies and confirms an action.
    pub(crate) fn carry_out(&mut self, step: &str) {
        self.observe(step, Verdict::Change);
        self.answer(
            step,
            OperationKind::Apply,
            StepOutcome::Applied { output: json!({ "made": step }), confirmed: Some(json!({})) },
        );
    }

    pub(crate) fn fail(
        &mut self,
        step: &str,
        kind: OperationKind,
        class: FailureClass,
    ) -> Vec<Event> {
        self.answer(step, kind, StepOutcome::Failed(Failure::new(class, "it failed")))
    }

    pub(crate) fn revert(&mut self, step: &str) -> Vec<Event> {
        self.answer(step, OperationKind::Revert, StepOutcome::Reverted(Undone::Reverted))
    }

    pub(crate) fn ask(&mut self, verb: Verb) -> Result<Vec<Event>, Rejection> {
        self.feed(Input::Asked { verb, by: by() })
    }

    /// Lets time pass, and ticks.
    pub(crate) fn pass_time(&mut self, ms: u64) -> Vec<Event> {
        self.now = self.now.plus_ms(ms);
        self.feed(Input::Tick).unwrap()
    }

    /// The daemon dies and reads its journal again.
    pub(crate) fn crash(&mut self) -> Vec<Event> {
        self.operations.clear();
        self.state = replay(&self.records).unwrap();
        self.feed(Input::Recover).unwrap()
    }

    pub(crate) fn public(&self) -> PublicState {
        self.state.public_state()
    }

    pub(crate) fn under_way(&self) -> Vec<(String, OperationKind)> {
        self.operations
            .iter()
            .map(|operation| (operation.step.to_string(), operation.kind))
            .collect()
    }

    pub(crate) fn undone(&self, step: &str) -> Option<Undone> {
        match &self.state.step(&step.into())?.undo {
            UndoPhase::Ended(undone) => Some(undone.clone()),
            _ => None,
        }
    }
}

/// A spec with another field.
pub(crate) fn with(mut spec: StepSpec, change: impl FnOnce(&mut StepSpec)) -> StepSpec {
    change(&mut spec);
    spec
}
