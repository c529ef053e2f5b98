//! AdminService: the daemon itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_proto::{
    json::Violation,
    limits::{DRAIN_SECONDS_DEFAULT, DRAIN_SECONDS_MAX},
    v1::{self as pb, admin_service_server::AdminService},
};
use tonic::{Request, Response, Status};

use super::{
    backup,
    caller::{admit, by},
    convert, request,
    server::Shared,
    status::Error,
    watch::Stream,
};
use crate::{
    auth::Principal,
    config::Role,
    runtime::{ListToken, Repeatable},
};

/// Summaries that are read at once, for counting.
const CHUNK: usize = 1000;
/// Most summaries that are counted: newer ones come first, and a count of millions helps nobody.
const COUNTED_MAX: usize = 100_000;

/// The service.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) shared: Arc<Shared>,
}

impl Admin {
    async fn info(&self, principal: &Principal) -> Result<pb::ServerInfo, Error> {
        let info = self.shared.handle.info();
        let definitions = info.definitions.iter().map(|definition| pb::server_info::Definition {
            name: definition.name.clone(),
            revision: definition.revision,
            digest: definition.digest.clone(),
        });
        Ok(pb::ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            start_time: Some(convert::time(info.started_at)),
            store: Some(pb::server_info::Store {
                kind: self.shared.store_kind.to_owned(),
                id: info.store_id,
                epoch: info.restore_epoch,
                schema_version: crate::store::SCHEMA_VERSION,
            }),
            definitions: definitions.collect(),
            workflows: self.count().await?,
            authentication: self.shared.authenticator.kind().to_owned(),
            draining: info.draining,
            time: Some(convert::time((self.shared.clock)())),
            caller: Some(self.caller(principal)),
        })
    }

    async fn drained(
        &self,
        principal: &Principal,
        request: &pb::DrainRequest,
    ) -> Result<pb::DrainResponse, Error> {
        let patience = patience(request.timeout);
        let checks = [request::request_id(&request.request_id), request::reason(&request.reason)];
        let mut violations: Vec<_> = checks.into_iter().filter_map(Result::err).collect();
        violations.extend(patience.as_ref().err().cloned());
        let Ok(patience) = patience else { return Err(Error::Invalid(violations)) };
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        let fields = [("reason", request.reason.clone()), ("timeout", format!("{patience:?}"))];
        let repeatable = Repeatable {
            id: request.request_id.clone(),
            rpc: "Drain",
            fields: fields.map(|(field, text)| (field.to_owned(), text)).into(),
        };
        let by = by(principal, &request.reason);
        let drained = self.shared.handle.drain(by, repeatable, patience).await?;
        Ok(pb::DrainResponse { parked: drained.parked as u64, in_flight: drained.in_flight as u64 })
    }

    fn caller(&self, principal: &Principal) -> pb::server_info::Caller {
        use pb::server_info::caller::Role as Shown;
        let role = match principal.role {
            Role::Viewer => Shown::Viewer,
            Role::Operator => Shown::Operator,
            Role::Approver => Shown::Approver,
            Role::Admin => Shown::Admin,
        };
        let mut connections: Vec<_> = (self.shared.handle.connections().iter())
            .map(|connection| connection.config.name.clone())
            .collect();
        connections.sort();
        pb::server_info::Caller {
            principal: principal.name.clone(),
            role: role.into(),
            connections,
            authentication: self.shared.authenticator.kind().to_owned(),
        }
    }

    async fn count(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut counts = BTreeMap::new();
        let mut after: Option<ListToken> = None;
        for _ in 0..COUNTED_MAX / CHUNK {
            let (summaries, next) = self.shared.handle.list(after, CHUNK).await?;
            for summary in &summaries {
                *counts.entry(summary.state.as_str().to_owned()).or_default() += 1;
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(counts)
    }
}

/// How long a drain waits for calls in flight.
fn patience(asked: Option<prost_types::Duration>) -> Result<Duration, Violation> {
    let Some(asked) = asked else { return Ok(Duration::from_secs(DRAIN_SECONDS_DEFAULT)) };
    let patience = Duration::try_from(asked).ok();
    let within = patience.filter(|patience| *patience <= Duration::from_secs(DRAIN_SECONDS_MAX));
    within.ok_or_else(|| {
        let message =
            format!("must be a duration of at most {DRAIN_SECONDS_MAX} s, and not negative");
        Violation::new("timeout", message)
    })
}

#[tonic::async_trait]
impl AdminService for Admin {
    type BackupStream = Stream<pb::BackupResponse>;

    async fn get_server_info(
        &self,
        request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::ServerInfo>, Status> {
        let principal = admit(&self.shared.authenticator, &request, Role::Viewer)?;
        Ok(Response::new(self.info(&principal).await?))
    }

    async fn backup(
        &self,
        request: Request<pb::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let principal = admit(&self.shared.authenticator, &request, Role::Admin)?;
        Ok(Response::new(backup::taken(&self.shared, &principal).await?))
    }

    async fn drain(
        &self,
        request: Request<pb::DrainRequest>,
    ) -> Result<Response<pb::DrainResponse>, Status> {
        let principal = admit(&self.shared.authenticator, &request, Role::Admin)?;
        Ok(Response::new(self.drained(&principal, &request.into_inner()).await?))
    }
}
