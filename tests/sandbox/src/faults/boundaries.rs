//! The boundaries of the daemon's mutating calls, at which a test stops the world to kill the daemon. It decides
//! nothing about effects: the world passes a boundary before and after each.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use super::{CallName, rule::glob};

/// Which side of the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The call has arrived and has had no effect.
    Before,
    /// It has had its effect, and its answer has not been sent.
    After,
}

/// One boundary that was passed or reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// Its place in the order of all boundaries of this world, from 0.
    pub index: usize,
    /// `cs`, …, `k8s`.
    pub product: String,
    /// The API's name; for `k8s` VERB-RESOURCE.
    pub action: String,
    /// What the call was about.
    pub object: String,
    /// Before or after its effect.
    pub side: Side,
}

/// Where to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// At the boundary with this index, counted from the start of the world.
    Index(usize),
    /// At the next boundary of such a call; `*` may stand in product, action and object.
    Call {
        /// `cs`, …, `k8s`, or a pattern.
        product: String,
        /// The API's name or a pattern.
        action: String,
        /// What the call is about, or a pattern.
        object: String,
        /// Before or after its effect.
        side: Side,
    },
}

impl At {
    /// The next boundary of a call given as `PRODUCT:ACTION[@OBJECT]`.
    #[must_use]
    pub fn call(pattern: &str, side: Side) -> Self {
        let (product, call) = pattern.split_once(':').unwrap_or(("*", pattern));
        let (action, object) = call.split_once('@').unwrap_or((call, "*"));
        Self::Call { product: product.into(), action: action.into(), object: object.into(), side }
    }

    fn is(&self, boundary: &Boundary) -> bool {
        match self {
            Self::Index(index) => *index == boundary.index,
            Self::Call { product, action, object, side } => {
                glob(product, &boundary.product)
                    && glob(action, &boundary.action)
                    && glob(object, &boundary.object)
                    && *side == boundary.side
            }
        }
    }
}

/// What becomes of a call at a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Go,
    /// It ends here: before the effect it has none, after it the answer is never sent.
    Drop,
}

/// The boundaries of one world. A test arms one, waits until it is reached, kills the daemon, and drops the call:
///
/// ```ignore
/// boundaries.arm(At::Index(k));
/// let boundary = boundaries.reached().await;
/// daemon.kill();
/// boundaries.drop_call();
/// ```
#[derive(Debug)]
pub struct Boundaries {
    inner: Mutex<Inner>,
    stop: watch::Sender<Stop>,
}

#[derive(Debug, Default)]
struct Inner {
    passed: Vec<Boundary>,
    armed: Option<At>,
}

/// The call that is stopped now, if any; `round` rises with each arming, so that a call that was stopped in an
/// earlier round can't take a later round's release for its own.
#[derive(Debug, Default, Clone)]
struct Stop {
    round: u64,
    reached: Option<Boundary>,
    verdict: Option<Passage>,
}

impl Default for Boundaries {
    fn default() -> Self {
        Self { inner: Mutex::default(), stop: watch::Sender::new(Stop::default()) }
    }
}

impl Boundaries {
    /// Stops the first call that comes to this boundary from now on. A call that is still stopped is dropped.
    pub fn arm(&self, at: At) {
        let mut inner = self.inner();
        self.stop.send_modify(|stop| {
            *stop = Stop { round: stop.round + 1, ..Stop::default() };
        });
        inner.armed = Some(at);
    }

    /// Stops nothing more. A call that is stopped goes on being stopped.
    pub fn disarm(&self) {
        self.inner().armed = None;
    }

    /// Waits until the armed boundary is reached.
    pub async fn reached(&self) -> Boundary {
        let mut stop = self.stop.subscribe();
        let stop = stop.wait_for(|stop| stop.reached.is_some()).await;
        let reached = stop.expect("the sender is in self").reached.clone();
        reached.expect("this is what was waited for")
    }

    /// Lets the stopped call go on as if nothing had been.
    pub fn release(&self) {
        self.decide(Passage::Go);
    }

    /// Ends the stopped call: no effect if it was stopped before it, and no answer in any case. After a kill this is
    /// the one to use, as the connection's end may be seen late.
    pub fn drop_call(&self) {
        self.decide(Passage::Drop);
    }

    /// All boundaries that were passed or reached so far, in order.
    #[must_use]
    pub fn passed(&self) -> Vec<Boundary> {
        self.inner().passed.clone()
    }

    /// A call of the daemon passes a boundary, or is stopped at it until it is released, dropped, or its connection
    /// ends.
    pub async fn pass(&self, call: &CallName, side: Side) -> Passage {
        let Some(round) = self.arrive(call, side) else {
            return Passage::Go;
        };
        let mut stop = self.stop.subscribe();
        let stop = stop.wait_for(|stop| stop.round != round || stop.verdict.is_some()).await;
        let stop = stop.expect("the sender is in self");
        if stop.round == round { stop.verdict.unwrap_or(Passage::Drop) } else { Passage::Drop }
    }

    /// Counts the boundary; the round, if the call is to stop.
    fn arrive(&self, call: &CallName, side: Side) -> Option<u64> {
        let mut inner = self.inner();
        let boundary = Boundary {
            index: inner.passed.len(),
            product: call.product.clone(),
            action: call.action.clone(),
            object: call.object.clone(),
            side,
        };
        inner.passed.push(boundary.clone());
        inner.armed.take_if(|at| at.is(&boundary))?;
        self.stop.send_modify(|stop| stop.reached = Some(boundary));
        Some(self.stop.borrow().round)
    }

    fn decide(&self, verdict: Passage) {
        self.stop.send_modify(|stop| {
            if stop.reached.is_some() {
                stop.verdict = Some(verdict);
            }
        });
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the boundaries")
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn call(action: &str) -> CallName {
        CallName {
            product: "ram".into(),
            action: action.into(),
            object: "u".into(),
            mutating: true,
        }
    }

    #[tokio::test]
    async fn only_the_armed_boundary_stops_and_it_stops_once() {
        let boundaries = Boundaries::default();
        boundaries.arm(At::call("ram:Create*@u", Side::After));
        let user = call("CreateUser");
        let other = CallName { object: "v".into(), ..user.clone() };
        assert_eq!(boundaries.pass(&other, Side::After).await, Passage::Go);
        assert_eq!(boundaries.pass(&user, Side::Before).await, Passage::Go);
        let mut stopped = Box::pin(boundaries.pass(&user, Side::After));
        assert_eq!((&mut stopped).now_or_never(), None);
        assert_eq!(boundaries.reached().await.index, 2);
        assert_eq!(boundaries.pass(&user, Side::After).await, Passage::Go);
        boundaries.release();
        assert_eq!(stopped.await, Passage::Go);
        let sides: Vec<Side> = boundaries.passed().iter().map(|b| b.side).collect();
        assert_eq!(sides, [Side::After, Side::Before, Side::After, Side::After]);
    }

    #[tokio::test]
    async fn a_dropped_call_ends_and_a_later_release_is_not_for_it() {
        let boundaries = Boundaries::default();
        boundaries.arm(At::Index(0));
        let first = call("CreateUser");
        let mut stopped = Box::pin(boundaries.pass(&first, Side::Before));
        assert_eq!((&mut stopped).now_or_never(), None);
        boundaries.arm(At::Index(1));
        let mut second = Box::pin(boundaries.pass(&first, Side::Before));
        assert_eq!((&mut second).now_or_never(), None);
        boundaries.release();
        assert_eq!(stopped.await, Passage::Drop);
        assert_eq!(second.await, Passage::Go);
    }

    #[tokio::test]
    async fn a_stopped_call_can_be_dropped() {
        let boundaries = Boundaries::default();
        boundaries.arm(At::Index(0));
        let first = call("CreateUser");
        let mut stopped = Box::pin(boundaries.pass(&first, Side::Before));
        assert_eq!((&mut stopped).now_or_never(), None);
        boundaries.drop_call();
        assert_eq!(stopped.await, Passage::Drop);
    }
}
