//! HybridClusterService: the inventory.

use std::sync::Arc;

use causeway_proto::{
    json, limits, names,
    v1::{self as pb, hybrid_cluster_service_server::HybridClusterService},
};
use prost::{Message, Name};
use tonic::{Request, Response, Status};

use super::{
    caller::admit,
    convert,
    server::Shared,
    status::{Error, Resource},
    token,
    workflows::page_size,
};
use crate::{config::Role, runtime};

/// The service.
#[derive(Clone)]
pub(super) struct Clusters {
    pub(super) shared: Arc<Shared>,
}

impl Clusters {
    fn viewer<T: Message + Name>(&self, request: Request<T>) -> Result<T, Error> {
        admit(&self.shared.authenticator, &request, Role::Viewer)?;
        Ok(request.into_inner())
    }

    async fn get(&self, name: &str) -> Result<pb::HybridCluster, Error> {
        let short = short(name)?;
        let record = self.shared.handle.cluster(short).await;
        Ok(convert::hybrid_cluster(&record.map_err(|error| missing(error, short))?))
    }

    async fn verify(
        &self,
        request: Request<pb::VerifyHybridClusterRequest>,
    ) -> Result<pb::HybridClusterVerification, Error> {
        // It makes as many calls to the cloud as a plan does.
        admit(&self.shared.authenticator, &request, Role::Operator)?;
        let request = request.into_inner();
        let short = short(&request.name)?;
        let found = self.shared.handle.verify(short).await;
        Ok(convert::verification(&found.map_err(|error| missing(error, short))?))
    }

    async fn list(
        &self,
        request: &pb::ListHybridClustersRequest,
    ) -> Result<pb::ListHybridClustersResponse, Error> {
        let mut records = self.shared.handle.clusters().await?;
        records.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
        let size = page_size(request.page_size, limits::PAGE_SIZE_DEFAULT)?;
        let (range, next_page_token) = page("hybrid-clusters", &names, size, &request.page_token)?;
        let hybrid_clusters = records[range].iter().map(convert::hybrid_cluster).collect();
        Ok(pb::ListHybridClustersResponse { hybrid_clusters, next_page_token })
    }

    fn connections(
        &self,
        request: &pb::ListConnectionsRequest,
    ) -> Result<pb::ListConnectionsResponse, Error> {
        let mut connections = self.shared.handle.connections();
        connections.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        let names: Vec<_> =
            connections.iter().map(|connection| connection.config.name.as_str()).collect();
        let size = page_size(request.page_size, limits::PAGE_SIZE_MAX)?;
        let (range, next_page_token) = page("connections", &names, size, &request.page_token)?;
        let connections =
            connections[range].iter().map(|found| convert::connection(&found.config)).collect();
        Ok(pb::ListConnectionsResponse { connections, next_page_token })
    }
}

/// The name, or the cluster's id, in a resource name.
fn short(name: &str) -> Result<&str, Error> {
    let wrong = || {
        let shown = json::shown(name);
        Error::field(
            "name",
            format!("{shown} is no name; expected hybridClusters/NAME or a cluster id"),
        )
    };
    names::hybrid_cluster_name(name).ok_or_else(wrong)
}

/// That there is no record is said in the words of who asked for it.
fn missing(error: runtime::Error, short: &str) -> Error {
    match error {
        runtime::Error::NotFound { what: "hybrid cluster", .. } => {
            Error::NotFound(Resource::HybridCluster(names::hybrid_cluster(short)))
        }
        error => error.into(),
    }
}

/// The part of a sorted list that a page shows, and the token for the next. The token names the last one shown, so that
/// nothing is shown twice when something is added in between.
fn page(
    kind: &str,
    sorted: &[&str],
    size: usize,
    page_token: &str,
) -> Result<(std::ops::Range<usize>, String), Error> {
    let start = if page_token.is_empty() {
        0
    } else {
        let last = token::decode(kind, &[], page_token).ok_or(Error::PageToken)?;
        sorted.partition_point(|name| *name <= last.as_str())
    };
    let end = sorted.len().min(start + size);
    let next = if end < sorted.len() && end > start {
        token::encode(kind, &[], sorted[end - 1])
    } else {
        String::new()
    };
    Ok((start..end, next))
}

#[tonic::async_trait]
impl HybridClusterService for Clusters {
    async fn get_hybrid_cluster(
        &self,
        request: Request<pb::GetHybridClusterRequest>,
    ) -> Result<Response<pb::HybridCluster>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(self.get(&request.name).await?))
    }

    async fn list_hybrid_clusters(
        &self,
        request: Request<pb::ListHybridClustersRequest>,
    ) -> Result<Response<pb::ListHybridClustersResponse>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(self.list(&request).await?))
    }

    async fn verify_hybrid_cluster(
        &self,
        request: Request<pb::VerifyHybridClusterRequest>,
    ) -> Result<Response<pb::HybridClusterVerification>, Status> {
        Ok(Response::new(self.verify(request).await?))
    }

    async fn list_connections(
        &self,
        request: Request<pb::ListConnectionsRequest>,
    ) -> Result<Response<pb::ListConnectionsResponse>, Status> {
        let request = self.viewer(request)?;
        Ok(Response::new(self.connections(&request)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_show_everything_once() {
        let sorted = ["a", "b", "c", "d", "e"];
        let (mut seen, mut page_token) = (Vec::<&str>::new(), String::new());
        loop {
            let (range, next) = page("k", &sorted, 2, &page_token).unwrap();
            seen.extend(&sorted[range]);
            if next.is_empty() {
                break;
            }
            page_token = next;
        }
        assert_eq!(seen, sorted);
        assert!(matches!(page("other", &sorted, 2, &page_token), Err(Error::PageToken)));
        assert_eq!(page("k", &[], 2, "").unwrap(), (0..0, String::new()));
    }
}
