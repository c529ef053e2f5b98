//! Faults and boundaries around the daemon's calls. Nobody else's calls pass through here.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use http::Response;

use super::{
    api::{Api, Call},
    status::{Failure, Outcome},
};
use crate::faults::{self, CallName, Fault};

/// When a call that a fault made late lands: after any client has given it up.
const LATE: Duration = Duration::from_secs(125);

/// What must never become ready: `PLURAL/NAMESPACE/NAME`, or `PLURAL/NAME`.
#[derive(Debug, Clone, Default)]
pub struct Stalls(Arc<Mutex<BTreeSet<String>>>);

impl Stalls {
    /// Whether controllers are to leave this object's readiness alone.
    #[must_use]
    pub fn contains(&self, plural: &str, object: &str) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&format!("{plural}/{object}"))
    }

    fn insert(&self, plural: &str, object: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{plural}/{object}"));
    }

    fn remove(&self, plural: &str, object: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&format!("{plural}/{object}"));
    }
}

/// Carries out a call, with its fault when it is the daemon's.
pub(super) async fn run(api: Arc<Api>, call: Call) -> Response<Body> {
    if !call.identity.daemon {
        return respond(api.perform(&call));
    }
    let name = name_of(&call);
    let Ok(fault) = api.faults.enter(&name, api.pace).await else { faults::cut() };
    let resource = call.request.wanted.resource.clone();
    let response = match &fault {
        Some(Fault::Error { status, code }) => {
            return Failure::injected(*status, code.as_deref()).response();
        }
        Some(Fault::Throttle) => return Failure::injected(429, None).response(),
        Some(Fault::Late) => {
            land_later(&api, call);
            faults::cut()
        }
        Some(Fault::Stuck | Fault::Partial | Fault::NeverReady) => {
            api.stalls.insert(&resource, &name.object);
            respond(api.perform(&call))
        }
        _ => {
            // The next write of a stalled object is a new attempt: it may become ready again.
            if name.mutating {
                api.stalls.remove(&resource, &name.object);
            }
            respond(api.perform(&call))
        }
    };
    match api.faults.leave(&name, fault.as_ref()).await {
        Ok(()) => response,
        Err(faults::Cut) => faults::cut(),
    }
}

fn land_later(api: &Arc<Api>, call: Call) {
    let late = Arc::clone(api);
    api.late.spawn(async move {
        let landing = late.pace.sleep(LATE);
        if late.stop.run_until_cancelled(landing).await.is_some()
            && let Err(failure) = late.perform(&call)
        {
            tracing::debug!(
                code = failure.code,
                message = failure.message,
                "A late call was refused"
            );
        }
    });
}

fn respond(outcome: Outcome<Response<Body>>) -> Response<Body> {
    outcome.unwrap_or_else(|failure| failure.response())
}

fn name_of(call: &Call) -> CallName {
    let wanted = &call.request.wanted;
    let named = if wanted.name.is_empty() {
        call.body["metadata"]["name"].as_str().unwrap_or_default()
    } else {
        &wanted.name
    };
    let object = if wanted.namespace.is_empty() {
        named.to_owned()
    } else {
        format!("{}/{named}", wanted.namespace)
    };
    let writes =
        ["create", "update", "patch", "delete", "deletecollection"].contains(&wanted.verb.as_str());
    let review = wanted.resource.ends_with("reviews");
    let resource = if wanted.resource.is_empty() {
        wanted.path.trim_matches('/').replace('/', ".")
    } else {
        wanted.resource.clone()
    };
    CallName {
        product: "k8s".into(),
        action: format!("{}-{resource}", wanted.verb),
        object,
        mutating: writes && !review && call.request.param("dryRun").is_empty(),
    }
}
