//! The one owner of a workflow: inputs queue in its mailbox, and whoever finds nobody at work on them drives it until the mailbox
//! is empty. So a workflow has one writer, and a waiting one costs no task.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_engine::input::{Decision, Operation, OperationKind, Refusal};
use causeway_engine::state::Hold;
use causeway_engine::{Event, Failure, Input, StepName, Time, Workflow, WorkflowId, decide};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{oneshot, watch};

use super::error::Error;
use super::locks::{Order, Wanted};
use super::requests::Memo;
use super::summary::Summary;
use super::{Runtime, codec};
use crate::store::{self, Append};

/// Keys that may be refused in one decision before it is given up as a fault.
const REFUSALS_MAX: usize = 256;

type Reply = oneshot::Sender<Result<Arc<Workflow>, Error>>;

/// An input, with what is to be written beside it and who waits for it.
pub(super) struct Mail {
    pub(super) input: Input,
    pub(super) sealed: Vec<(String, SecretString)>,
    pub(super) etag: Option<u64>,
    pub(super) reply: Option<Reply>,
    /// The request that it is, if it may be repeated: looked up before, and remembered with what follows.
    pub(super) memo: Option<Memo>,
}

impl From<Input> for Mail {
    fn from(input: Input) -> Self {
        Self { input, sealed: Vec::new(), etag: None, reply: None, memo: None }
    }
}

/// A live workflow.
pub(super) struct Slot {
    pub(super) id: WorkflowId,
    pub(super) order: Order,
    /// The last durable state.
    published: watch::Sender<Arc<Workflow>>,
    inner: Mutex<Inner>,
}

struct Inner {
    mailbox: VecDeque<Mail>,
    driven: bool,
    in_flight: HashSet<(StepName, OperationKind, u32)>,
    rests: HashMap<(StepName, OperationKind), Time>,
}

impl Slot {
    /// `driven`: its maker is at work on it, and lets go of it with [`Runtime::begin`]; until then mail waits.
    pub(super) fn new(state: Workflow, order: Order, driven: bool) -> Self {
        let inner = Inner {
            mailbox: VecDeque::new(),
            driven,
            in_flight: HashSet::new(),
            rests: HashMap::new(),
        };
        let id = state.id.clone();
        Self { id, order, published: watch::Sender::new(Arc::new(state)), inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> Arc<Workflow> {
        self.published.borrow().clone()
    }

    /// Follows the state, also beyond its end.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Workflow>> {
        self.published.subscribe()
    }

    /// Puts mail in; true where the caller must drive the workflow now.
    pub(super) fn post(&self, mail: Mail) -> bool {
        let mut inner = self.inner();
        inner.mailbox.push_back(mail);
        !std::mem::replace(&mut inner.driven, true)
    }

    fn next(&self) -> Option<(Mail, Arc<Workflow>)> {
        let mut inner = self.inner();
        match inner.mailbox.pop_front() {
            Some(mail) => {
                if let Input::Finished { operation, .. } = &mail.input {
                    inner.in_flight.remove(&(
                        operation.step.clone(),
                        operation.kind,
                        operation.attempt,
                    ));
                }
                Some((mail, self.state()))
            }
            None => {
                inner.driven = false;
                None
            }
        }
    }

    /// Whether the operation may start now: not while the same one is under way or rests. Marks it as under way.
    fn take_off(&self, operation: &Operation, now: Time) -> bool {
        let mut inner = self.inner();
        let identity = (operation.step.clone(), operation.kind);
        if inner.rests.get(&identity).is_some_and(|until| *until > now) {
            return false;
        }
        inner.rests.remove(&identity);
        inner.in_flight.insert((identity.0, identity.1, operation.attempt))
    }

    fn rest(&self, rests: Vec<(StepName, OperationKind, Time)>) {
        let mut inner = self.inner();
        for (step, kind, until) in rests {
            inner.rests.insert((step, kind), until);
        }
    }

    /// When it is to be woken: its durable timer, or the end of a rest.
    fn wake_at(&self, now: Time) -> Option<Time> {
        let inner = self.inner();
        let rests = inner.rests.values().copied().filter(|until| *until > now);
        rests.chain(self.state().next_due(now)).min()
    }
}

impl Runtime {
    /// Gives the workflow an input; its owner takes it from here.
    pub(super) fn deliver(self: &Arc<Self>, slot: &Arc<Slot>, mail: Mail) {
        if slot.post(mail) {
            let (runtime, slot) = (self.clone(), slot.clone());
            self.tasks.spawn(async move { runtime.go_on(&slot, None).await });
        }
    }

    /// Starts an operation as a task of its own.
    fn spawn(self: &Arc<Self>, slot: &Arc<Slot>, start: Start) {
        let (runtime, slot) = (self.clone(), slot.clone());
        self.tasks.spawn(async move { runtime.go_on(&slot, Some(start)).await });
    }

    /// Runs an operation (none: only the mail) and drives the workflow with its report; where that starts an operation, runs
    /// it here too. So a chain of steps is one task, and costs no switch between tasks.
    async fn go_on(self: &Arc<Self>, slot: &Arc<Slot>, mut next: Option<Start>) {
        loop {
            if let Some(start) = next {
                let mut drives = false;
                for mail in self.perform(slot, start).await {
                    drives |= slot.post(mail);
                }
                if !drives {
                    return;
                }
            }
            next = self.drive(slot).await;
            if next.is_none() {
                return;
            }
        }
    }

    /// Takes mail until there is none; answers an operation that is to be run by the caller, the mailbox being empty.
    async fn drive(self: &Arc<Self>, slot: &Arc<Slot>) -> Option<Start> {
        let mut last: Option<Start> = None;
        while let Some((mail, state)) = slot.next() {
            last.take().into_iter().for_each(|start| self.spawn(slot, start));
            let mut starts = Vec::new();
            let reply = self.take(slot, &state, &mail, &mut starts).await;
            last = starts.pop();
            starts.into_iter().for_each(|start| self.spawn(slot, start));
            match (mail.reply, reply) {
                // Who asked may be gone: then nobody is told.
                (Some(sender), reply) => drop(sender.send(reply)),
                (None, Err(error)) => {
                    tracing::error!(workflow.id = %slot.id, error = %error, "An input was lost")
                }
                (None, Ok(_)) => {}
            }
        }
        last
    }

    async fn take(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        state: &Arc<Workflow>,
        mail: &Mail,
        starts: &mut Vec<Start>,
    ) -> Result<Arc<Workflow>, Error> {
        if let Some(memo) = &mail.memo
            && self.known(memo).await?.is_some()
        {
            return Ok(state.clone());
        }
        if let Some(etag) = mail.etag.filter(|etag| *etag != state.seq && !state.is_ended()) {
            tracing::debug!(workflow.id = %slot.id, etag, "Etag does not match");
            return Err(Error::EtagMismatch { have: state.seq.to_string() });
        }
        let mut refusals: Vec<Refusal> = Vec::new();
        let mut rejected: Option<Input> = None;
        loop {
            let now = (self.clock)();
            let input = rejected.as_ref().unwrap_or(&mail.input);
            let decided = decide(state, input, now, &refusals);
            let (decision, next) = decided.map_err(|rejection| Error::Rejected {
                rejection,
                state: Some(state.public_state()),
            })?;
            if decision.events.is_empty() && mail.memo.is_none() {
                starts.extend(self.follow(slot, decision, state, now));
                return Ok(state.clone());
            }
            match self
                .write(
                    slot,
                    &Transition { state, next: &next, events: &decision.events, now },
                    mail,
                )
                .await
            {
                Ok(()) => {
                    let next = Arc::new(next);
                    self.publish(slot, &next, &decision.events);
                    starts.extend(self.follow(slot, decision, &next, now));
                    return Ok(next);
                }
                Err(Written::Refused(refusal)) if refusals.len() < REFUSALS_MAX => {
                    refusals.push(refusal)
                }
                Err(Written::Refused(refusal)) => {
                    return Err(Error::StoreFailed(format!(
                        "key {} is refused for ever",
                        refusal.key
                    )));
                }
                Err(Written::Repeated(memo)) => {
                    // At the same moment, and for another workflow: this one's requests come one after the other.
                    return self.known(&memo).await.map(|_| state.clone());
                }
                Err(Written::Known(failure)) => rejected = Some(Input::Reject(failure)),
                Err(Written::Failed(error)) => {
                    self.fail(&error);
                    return Err(error);
                }
            }
        }
    }

    /// Makes the events durable, with everything that follows from them.
    async fn write(
        self: &Arc<Self>,
        slot: &Slot,
        step: &Transition<'_>,
        mail: &Mail,
    ) -> Result<(), Written> {
        let Transition { state, next, events, now } = *step;
        let (before, after) = (state.holds(), next.holds());
        let acquire: Vec<Hold> = after.difference(&before).cloned().collect();
        let release: Vec<Hold> = before.difference(&after).cloned().collect();
        self.lock(slot, next, &acquire, &release)?;
        if next.admitted && !state.admitted {
            self.admit(slot, next, &acquire).await?;
        }
        let mut append = Append::new(self.fence, slot.id.as_str(), state.seq);
        let records = causeway_engine::apply::number(state.seq, now, events.to_vec());
        for record in &records {
            let encoded = codec::encode(record, &self.sealer);
            if let Some((id, bytes)) = encoded.blob {
                self.store
                    .put_blob(&id, bytes)
                    .await
                    .map_err(|error| Written::Failed(error.into()))?;
                append.blobs.push(id);
            }
            append.events.push(encoded.row);
        }
        append.replace_head = state.quarantine.is_some();
        append.acquire = acquire.iter().map(store_hold).collect();
        append.release = release.iter().map(store_hold).collect();
        append.requests.extend(mail.memo.as_ref().map(|memo| memo.row(&slot.id, now)));
        self.fill(&mut append, step, mail)?;
        self.follow_record(next, events, &mut append).await.map_err(Written::Failed)?;
        match self.store.append(append).await {
            Ok(_) => {
                let wake = self.locks().release(&slot.id, &release);
                self.wake(wake);
                Ok(())
            }
            Err(store::Error::Refused(store::Refusal::KeyHeld { key, workflow, step })) => {
                let woken = self.locks().release(&slot.id, &acquire);
                self.wake(woken);
                let wanted = acquire.iter().find(|hold| hold.0.as_str() == key);
                let step = wanted.map_or_else(|| step.map(StepName::new), |hold| hold.1.clone());
                Err(Written::Refused(Refusal {
                    step,
                    key: key.as_str().into(),
                    behind: workflow.as_str().into(),
                }))
            }
            Err(error) => match (error, &mail.memo) {
                (store::Error::Refused(store::Refusal::RequestKnown { .. }), Some(memo)) => {
                    let woken = self.locks().release(&slot.id, &acquire);
                    self.wake(woken);
                    Err(Written::Repeated(memo.clone()))
                }
                (error, _) => Err(Written::Failed(error.into())),
            },
        }
    }

    /// Looks once more at the cluster's record: whoever held the lock before may have built it, or torn it down. Only with the
    /// lock in hand is the answer final.
    async fn admit(&self, slot: &Slot, next: &Workflow, acquire: &[Hold]) -> Result<(), Written> {
        let Err(error) = self.require_admissible(next).await else { return Ok(()) };
        // Whoever waits next is woken once this one no longer waits: by what follows from the refusal.
        drop(self.locks().release(&slot.id, acquire));
        Err(match error {
            Error::ClusterExists { .. } => {
                Written::Known(Failure::permanent(error.to_string()).with_code("CLUSTER_EXISTS"))
            }
            Error::ClusterChanged { .. } => {
                Written::Known(Failure::permanent(error.to_string()).with_code("CLUSTER_CHANGED"))
            }
            // One unreadable record must not end the daemon, and again at each start.
            Error::Corrupt { .. } => {
                Written::Known(Failure::permanent(error.to_string()).with_code("RECORD_CORRUPT"))
            }
            other => Written::Failed(other),
        })
    }

    /// Takes the new holds in the table of keys.
    fn lock(
        &self,
        slot: &Slot,
        next: &Workflow,
        acquire: &[Hold],
        release: &[Hold],
    ) -> Result<(), Written> {
        if acquire.is_empty() {
            return Ok(());
        }
        let group_of =
            |name: &StepName| next.step(name).and_then(|step| step.spec.undo_group.clone());
        let undoing = next.direction == causeway_engine::state::Direction::Undo;
        let together = |one: &StepName, other: &StepName| {
            undoing && group_of(one).is_some() && group_of(one) == group_of(other)
        };
        let wanted =
            Wanted { workflow: &slot.id, order: slot.order, acquire, release, together: &together };
        self.locks().acquire(&wanted).map_err(Written::Refused)
    }

    /// Everything of an append that is derived from the two states.
    fn fill(&self, append: &mut Append, step: &Transition<'_>, mail: &Mail) -> Result<(), Written> {
        let Transition { state, next, now, .. } = *step;
        append.summary =
            Some(serde_json::to_vec(&Summary::of(next)).expect("a summary has string keys only"));
        append.live = !next.is_ended();
        append.timer = next.next_due(now).map(|due| due.0);
        let claimant = next.acts_as().as_str();
        let (had, has) = (state.claims(), next.claims());
        for claim in has.iter().filter(|claim| !had.iter().any(|known| known.key == claim.key)) {
            let body = serde_json::to_vec(claim).expect("a claim has string keys only");
            append.join.push(store::Join {
                key: claim.key.to_string(),
                claimant: claimant.to_owned(),
                body,
            });
        }
        for claim in had.iter().filter(|claim| !has.iter().any(|kept| kept.key == claim.key)) {
            append
                .leave
                .push(store::Leave { key: claim.key.to_string(), claimant: claimant.to_owned() });
        }
        for (id, secret) in &mail.sealed {
            let sealed = self.sealer.seal(id, secret.expose_secret().as_bytes());
            let sealed =
                sealed.map_err(|error| Written::Failed(Error::StoreFailed(error.to_string())))?;
            append.sealed.push((id.clone(), sealed));
        }
        if let Input::Asked { verb, by } = &mail.input {
            let row = serde_json::json!({ "at": now, "workflow": next.id.as_str(), "verb": format!("{verb:?}"), "by": by });
            append.audit.push(row.to_string().into_bytes());
        }
        Ok(())
    }

    /// A workflow that has just been written for the first time goes on from its first decision, and from here on by its mail:
    /// whoever woke or asked it meanwhile has not driven it, so nobody's newer state is overwritten by this one.
    pub(super) fn begin(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        decision: Decision,
        events: &[Event],
        now: Time,
    ) {
        let state = slot.state();
        self.publish(slot, &state, events);
        for start in self.follow(slot, decision, &state, now) {
            self.spawn(slot, start);
        }
        let (runtime, slot) = (self.clone(), slot.clone());
        self.tasks.spawn(async move { runtime.go_on(&slot, None).await });
    }

    fn publish(self: &Arc<Self>, slot: &Arc<Slot>, next: &Arc<Workflow>, events: &[Event]) {
        self.observer.appended(next, events);
        let wants = next.wants();
        let wake = {
            let mut locks = self.locks();
            if wants.is_empty() && locks.nobody_waits() {
                Vec::new()
            } else {
                locks.set_wants(&slot.id, slot.order, &wants)
            }
        };
        self.wake(wake);
        if next.is_ended() {
            self.retire(&slot.id);
        }
        slot.published.send_replace(next.clone());
    }

    /// What of the decision is to be started now; sets the timer.
    fn follow(
        &self,
        slot: &Slot,
        decision: Decision,
        state: &Arc<Workflow>,
        now: Time,
    ) -> Vec<Start> {
        slot.rest(decision.rests);
        let operations = decision.operations.into_iter();
        let starts = operations
            .filter(|operation| !self.is_draining() && slot.take_off(operation, now))
            .map(|operation| Start { operation, state: state.clone() })
            .collect();
        self.timers.set(&slot.id, if state.is_ended() { None } else { slot.wake_at(now) });
        starts
    }
}

/// An operation to be run, on the state that it was decided on.
pub(super) struct Start {
    pub(super) operation: Operation,
    pub(super) state: Arc<Workflow>,
}

/// From one state to the next, by these events, decided then.
#[derive(Clone, Copy)]
struct Transition<'a> {
    state: &'a Workflow,
    next: &'a Workflow,
    events: &'a [Event],
    now: Time,
}

enum Written {
    Refused(Refusal),
    /// The request's id was taken at the same moment.
    Repeated(Memo),
    /// The cluster's record is not what it was at the start: the workflow may not be admitted any more.
    Known(Failure),
    Failed(Error),
}

pub(super) fn store_hold((key, step): &Hold) -> store::Hold {
    store::Hold { key: key.to_string(), step: step.as_ref().map(ToString::to_string) }
}
