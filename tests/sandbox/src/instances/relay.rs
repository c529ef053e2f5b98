//! The only way out of an instance: HTTP over a bound Unix socket. It plays the VPC's resolver and routes (OSS, the
//! package mirror, the metadata address, the data center's API server); whatever else is asked for does not exist.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use tokio::{net::UnixListener, task::JoinSet};
use tower::ServiceExt as _;

use super::{Discovery, Reach, Registration};
use crate::hands::Boot;

/// Says to the guest's HTTP client that there is no such host.
pub(super) const UNRESOLVED: &str = "x-relay-unresolved";
/// Where `kubeadm join` reads cluster-info.
pub(super) const DISCOVER: &str = "/sandbox/discover";
/// Where kubelet registers its Node.
pub(super) const REGISTER: &str = "/sandbox/register";

/// What kubelet sends once it has its certificate.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Registering {
    /// The name in the certificate that `kubeadm join` obtained.
    pub(super) certificate_name: String,
    /// Of the Node.
    pub(super) registration: Registration,
}

struct Outside {
    boot: Boot,
    reach: Reach,
}

/// Serves until the returned set is dropped. Must be called within a runtime.
pub(super) fn serve(socket: &Path, boot: Boot, reach: Reach) -> anyhow::Result<JoinSet<()>> {
    let listener = UnixListener::bind(socket)
        .with_context(|| format!("cannot bind the instance's relay at {}", socket.display()))?;
    let router = Router::new().fallback(answer).with_state(Arc::new(Outside { boot, reach }));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "An instance lost its relay");
        }
    });
    Ok(tasks)
}

async fn answer(State(outside): State<Arc<Outside>>, request: Request) -> Response {
    let authority = authority(&request);
    let host =
        authority.rsplit_once(':').map_or(authority.as_str(), |(host, _port)| host).to_owned();
    if host == "100.100.100.200" {
        return metadata(&outside.boot, request.uri().path());
    }
    if authority == outside.reach.api_server {
        return api_server(&outside, request).await;
    }
    if host.starts_with("mirrors.") || host.ends_with("registry.aliyuncs.com") {
        return "the sandbox's package mirror: its packages are stand-ins\n".into_response();
    }
    if host.ends_with(".aliyuncs.com") {
        return cloud(&outside, &host, request).await;
    }
    let mut response = format!("Could not resolve host: {host}").into_response();
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.headers_mut().insert(UNRESOLVED, HeaderValue::from_static("true"));
    response
}

fn authority(request: &Request) -> String {
    let named = request.uri().authority().map(ToString::to_string);
    let header = || {
        request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned)
    };
    named.or_else(header).unwrap_or_default().to_ascii_lowercase()
}

/// Hands the request to the cloud, as if it had been sent there: an origin-form target and the bucket's host.
async fn cloud(outside: &Outside, host: &str, mut request: Request) -> Response {
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let (Ok(uri), Ok(name)) = (target.parse::<Uri>(), HeaderValue::from_str(host)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::HOST, name);
    match outside.reach.cloud.clone().oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

fn metadata(boot: &Boot, path: &str) -> Response {
    let value = match path.trim_end_matches('/').trim_start_matches("/latest/meta-data/") {
        "instance-id" => &boot.instance_id,
        "private-ipv4" | "eipv4" => &boot.private_ip,
        "region-id" => &boot.region,
        "zone-id" => &boot.zone,
        "vswitch-id" => &boot.vswitch_id,
        "vpc-id" => &boot.vpc_id,
        "instance/instance-type" => &boot.instance_type,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    value.clone().into_response()
}

async fn api_server(outside: &Outside, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = match axum::body::to_bytes(request.into_body(), 1 << 20).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let outcome = match path.as_str() {
        "/healthz" | "/livez" | "/readyz" => return "ok".into_response(),
        DISCOVER => match decode::<Discovery>(&body) {
            Ok(discovery) => outside.reach.registrar.discover(&discovery).await,
            Err(error) => Err(error),
        },
        REGISTER => match decode::<Registering>(&body) {
            Ok(registering) => register(outside, registering).await,
            Err(error) => Err(error),
        },
        _ => return (StatusCode::UNAUTHORIZED, "Unauthorized").into_response(),
    };
    match outcome {
        Ok(()) => Json(serde_json::json!({})).into_response(),
        Err(message) => (StatusCode::FORBIDDEN, message).into_response(),
    }
}

fn decode<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the request can't be read: {error}"))
}

/// The node authorizer: a certificate names one Node, and opens no other.
async fn register(outside: &Outside, registering: Registering) -> Result<(), String> {
    let Registering { certificate_name, registration } = registering;
    if certificate_name != registration.name {
        return Err(format!(
            "nodes \"{}\" is forbidden: node \"{certificate_name}\" is not allowed to modify node \"{}\"",
            registration.name, registration.name
        ));
    }
    outside.reach.registrar.register(&outside.boot, &registration).await
}
