//! The client of one account in one region: signs, sends, bounds and classifies calls. The only part that knows
//! reqwest. It repeats nothing by itself: what to do about a failure is the engine's to decide.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tokio::sync::{OnceCell, Semaphore};
use tracing::Instrument;

use super::acs3::{self, Signable};
use super::credentials::Credentials;
use super::endpoints::{Base, Endpoints, Product};
use super::error::{Access, Cause, Error, RawAnswer};
use super::params::{Params, encode};
use super::trail::Trail;

/// Largest answer that is read, in bytes; a page of the largest list is well under 1 MiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Longest time to wait for a connection.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// How long an unused connection is kept: shorter than the gateways do, so that they rarely close one under a request.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Sent with every call.
const USER_AGENT: &str = concat!("causeway/", env!("CARGO_PKG_VERSION"));

/// Time and nonces, given from outside so that tests can fix them.
#[derive(Clone)]
pub struct Sources {
    /// The time now.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// A value never used before.
    pub nonce: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Sources {
    /// The system's clock and random nonces.
    #[must_use]
    pub fn system() -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "a signature needs the real time, and nothing else is derived from it"
        )]
        let now = Timestamp::now;
        Self { now: Arc::new(now), nonce: Arc::new(|| uuid::Uuid::new_v4().simple().to_string()) }
    }
}

/// What a client is made of.
pub struct Options {
    /// The region of regional calls, such as `cn-hangzhou`; see [`Client::in_region`].
    pub region: String,
    /// Where the products are.
    pub endpoints: Endpoints,
    /// Longest duration of one call, from waiting for a slot to the last byte of the answer.
    pub call_timeout: Duration,
    /// Most calls in flight at once; shared by all clones.
    pub max_concurrent_calls: usize,
    /// Clock and nonces.
    pub sources: Sources,
}

/// Why a client can't be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client")]
pub struct SetupError(#[from] reqwest::Error);

/// A client of Alibaba Cloud. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    pub(super) region: Arc<str>,
    endpoints: Arc<Endpoints>,
    pub(super) credentials: Credentials,
    slots: Arc<Semaphore>,
    call_timeout: Duration,
    deadline: Option<Timestamp>,
    /// The account of the key that signs, once asked; a key never changes its account.
    account: Arc<OnceCell<String>>,
    /// Refuses every mutating call before it is sent.
    read_only: bool,
    /// What the key was seen to be allowed.
    trail: Option<Trail>,
    pub(super) sources: Sources,
}

/// A request that is complete but for its signature's changing parts.
pub(super) struct Request {
    pub(super) product: Product,
    pub(super) action: &'static str,
    pub(super) access: Access,
    pub(super) method: http::Method,
    pub(super) base: Base,
    /// Percent-encoded, from the slash on.
    pub(super) path: String,
    /// Sorted and encoded.
    pub(super) query: String,
    pub(super) body: Bytes,
}

/// A successful answer.
pub(super) struct Answer {
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
}

/// A call of the RPC style.
pub(super) struct Rpc {
    pub(super) product: Product,
    pub(super) action: &'static str,
    pub(super) access: Access,
    pub(super) params: Params,
}

/// A call of the ROA style (Container Service).
pub(super) struct Roa<'a> {
    pub(super) action: &'static str,
    pub(super) access: Access,
    pub(super) method: http::Method,
    /// Segments, not encoded.
    pub(super) path: &'a [&'a str],
    pub(super) query: Params,
    pub(super) body: Option<serde_json::Value>,
}

impl Client {
    /// A client that signs with `credentials`.
    ///
    /// # Errors
    /// Where TLS can't be set up.
    pub fn new(options: Options, credentials: Credentials) -> Result<Self, SetupError> {
        // Whoever was first to install the provider chose this very one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_idle_timeout(IDLE_MAX)
            .connect_timeout(options.call_timeout.min(CONNECT_TIMEOUT_MAX));
        if options.endpoints.is_loopback() {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build()?,
            region: options.region.into(),
            endpoints: Arc::new(options.endpoints),
            credentials,
            slots: Arc::new(Semaphore::new(options.max_concurrent_calls.max(1))),
            call_timeout: options.call_timeout,
            deadline: None,
            account: Arc::new(OnceCell::new()),
            read_only: false,
            trail: None,
            sources: options.sources,
        })
    }

    /// The same client for looking only: a mutating call is refused before it is sent, and `trail` hears which actions
    /// the key was seen to be allowed.
    #[must_use]
    pub fn read_only(&self, trail: &Trail) -> Self {
        Self { read_only: true, trail: Some(trail.clone()), ..self.clone() }
    }

    /// The same client for calls that must all be over at `deadline`.
    #[must_use]
    pub fn until(&self, deadline: Timestamp) -> Self {
        Self {
            deadline: Some(self.deadline.map_or(deadline, |other| other.min(deadline))),
            ..self.clone()
        }
    }

    /// The same client for another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self { region: region.into(), ..self.clone() }
    }

    /// The same client signing with another key, to see whether that key works.
    #[must_use]
    pub fn signing_with(&self, credentials: Credentials) -> Self {
        // What another key may do says nothing about ours.
        Self { credentials, account: Arc::new(OnceCell::new()), trail: None, ..self.clone() }
    }

    /// The account of the key that signs; asked once.
    ///
    /// # Errors
    /// As `GetCallerIdentity` failed.
    pub async fn account_id(&self) -> Result<&str, Error> {
        let ask = || async { Ok(super::sts::get_caller_identity(self).await?.account_id) };
        self.account.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Id of the AccessKey that signs.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.credentials.key_id
    }

    /// Where the products are.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(super) fn base(
        &self,
        product: Product,
        action: &'static str,
        access: Access,
    ) -> Result<Base, Error> {
        self.endpoints.base(product, &self.region).ok_or_else(|| Error {
            product,
            action,
            access,
            cause: Cause::Invalid(format!("`{}` makes no host name of a region", self.region)),
        })
    }

    /// Makes an RPC call. All parameters go in the query, as the official clients do.
    pub(super) async fn rpc<T: DeserializeOwned>(&self, call: Rpc) -> Result<T, Error> {
        let Rpc { product, action, access, params } = call;
        let request = Request {
            product,
            action,
            access,
            method: http::Method::POST,
            base: self.base(product, action, access)?,
            path: "/".to_owned(),
            query: params.canonical(),
            body: Bytes::new(),
        };
        self.gateway(request).await
    }

    /// Makes a call to Container Service.
    pub(super) async fn roa<T: DeserializeOwned>(&self, call: Roa<'_>) -> Result<T, Error> {
        let request = Request {
            product: Product::Cs,
            action: call.action,
            access: call.access,
            method: call.method,
            base: self.base(Product::Cs, call.action, call.access)?,
            path: call.path.iter().map(|segment| format!("/{}", encode(segment))).collect(),
            query: call.query.canonical(),
            body: call.body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
        };
        self.gateway(request).await
    }

    /// Signs for the gateways, sends, and reads the JSON answer.
    async fn gateway<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let answer =
            self.send(&request, ANSWER_BYTES_MAX, |request| self.gateway_headers(request)).await?;
        // An empty success is what some calls answer; it reads as an object without fields.
        let body: &[u8] = if answer.body.is_empty() { b"{}" } else { &answer.body };
        serde_json::from_slice(body).map_err(|error| {
            // The parser's own words may quote the body, which may hold a secret.
            let what = format!(
                "line {}, column {}: {:?} error",
                error.line(),
                error.column(),
                error.classify()
            );
            let raw = RawAnswer { status: 200, headers: &answer.headers, body };
            request.error(Cause::Unreadable { status: 200, request_id: raw.request_id(), what })
        })
    }

    fn gateway_headers(&self, request: &Request) -> Vec<(&'static str, String)> {
        let payload_hash = acs3::sha256_hex(&request.body);
        let date = (self.sources.now)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut headers = vec![
            ("host", request.base.authority.clone()),
            ("accept", "application/json".to_owned()),
            ("x-acs-action", request.action.to_owned()),
            ("x-acs-version", request.product.version().to_owned()),
            ("x-acs-date", date),
            ("x-acs-signature-nonce", (self.sources.nonce)()),
            ("x-acs-content-sha256", payload_hash.clone()),
        ];
        if !request.body.is_empty() {
            headers.push(("content-type", "application/json; charset=utf-8".to_owned()));
        }
        if let Some(token) = &self.credentials.token {
            headers.push(("x-acs-security-token", token.expose_secret().to_owned()));
            headers.push(("x-acs-accesskey-id", self.credentials.key_id.clone()));
        }
        let signable = Signable {
            method: request.method.as_str(),
            path: &request.path,
            query: &request.query,
            headers: &headers,
            payload_hash: &payload_hash,
        };
        let authorization = acs3::authorization(&signable, &self.credentials);
        headers.push(("authorization", authorization));
        headers
    }

    /// Sends a request under the deadline, within the bound on calls in flight, in a span of its own. `sign` makes the
    /// headers at the last moment, so that waiting for a slot can't age the signature.
    pub(super) async fn send(
        &self,
        request: &Request,
        limit: usize,
        sign: impl FnOnce(&Request) -> Vec<(&'static str, String)>,
    ) -> Result<Answer, Error> {
        let span = tracing::info_span!(
            "cloud_call",
            product = request.product.name(),
            action = request.action,
            status = tracing::field::Empty,
            code = tracing::field::Empty,
            request_id = tracing::field::Empty,
        );
        let result = if self.read_only && request.access == Access::Mutate {
            Err(request.error(Cause::ReadOnly))
        } else {
            self.send_in_time(request, limit, sign).instrument(span.clone()).await
        };
        if let Some(trail) = &self.trail {
            trail.note(request.product, request.action, result.as_ref().err());
        }
        if let Err(error) = &result {
            span.record(
                "code",
                error.code().unwrap_or(match error.cause {
                    Cause::NotSent(_) => "not_sent",
                    Cause::Lost(_) => "lost",
                    _ => "unreadable",
                }),
            );
            if let Some(id) = error.request_id() {
                span.record("request_id", id);
            }
        }
        result
    }

    async fn send_in_time(
        &self,
        request: &Request,
        limit: usize,
        sign: impl FnOnce(&Request) -> Vec<(&'static str, String)>,
    ) -> Result<Answer, Error> {
        let mut budget = self.call_timeout;
        if let Some(deadline) = self.deadline {
            let left = deadline.duration_since((self.sources.now)());
            budget = budget.min(Duration::try_from(left).unwrap_or_default());
        }
        if budget.is_zero() {
            return Err(
                request.error(Cause::NotSent("the deadline of the attempt is over".to_owned()))
            );
        }
        let end = tokio::time::Instant::now() + budget;
        let _slot = match tokio::time::timeout_at(end, self.slots.acquire()).await {
            Ok(slot) => slot.expect("the semaphore is never closed"),
            Err(_) => {
                let why = format!(
                    "no free slot among this connection's concurrent calls within {budget:?}"
                );
                return Err(request.error(Cause::NotSent(why)));
            }
        };
        match tokio::time::timeout_at(end, self.exchange(request, limit, sign(request))).await {
            Ok(result) => result,
            Err(_) => Err(request.error(Cause::Lost(format!("no answer within {budget:?}")))),
        }
    }

    async fn exchange(
        &self,
        request: &Request,
        limit: usize,
        headers: Vec<(&'static str, String)>,
    ) -> Result<Answer, Error> {
        let query =
            if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        let url = format!("{}{}{query}", request.base.url(), request.path);
        let mut builder = self.http.request(request.method.clone(), url);
        for (name, value) in headers {
            // hyper writes the host header from the URL; ours is the same by construction.
            if name != "host" {
                builder = builder.header(name, value);
            }
        }
        if request.body.is_empty()
            && matches!(request.method, http::Method::POST | http::Method::PUT)
        {
            // hyper would leave it out, and some gateways answer 411 then.
            builder = builder.header(http::header::CONTENT_LENGTH, 0);
        }
        let sent = builder.body(request.body.clone()).send().await;
        let mut response = sent.map_err(|error| request.error(transport_cause(&error)))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    let what = format!("more than {limit} bytes");
                    let request_id =
                        RawAnswer { status, headers: &headers, body: b"" }.request_id();
                    return Err(request.error(Cause::Unreadable { status, request_id, what }));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(request.error(Cause::Lost(chain(&error)))),
            }
        }
        let raw = RawAnswer { status, headers: &headers, body: &body };
        let span = tracing::Span::current();
        span.record("status", status);
        if let Some(id) = raw.request_id() {
            span.record("request_id", id);
        }
        match status {
            200..300 => {
                if let Some(id) = raw.request_id_in_body() {
                    span.record("request_id", id);
                }
                Ok(Answer { headers, body: body.into() })
            }
            300..400 => {
                let what = "a redirect, which is not followed; is the endpoint right?".to_owned();
                Err(request.error(Cause::Unreadable { status, request_id: raw.request_id(), what }))
            }
            _ => {
                let redact = |text: &str| request.redact(&self.credentials.redact(text));
                Err(request.error(raw.cause(&redact)))
            }
        }
    }
}

impl Request {
    pub(super) fn error(&self, cause: Cause) -> Error {
        Error { product: self.product, action: self.action, access: self.access, cause }
    }

    /// `text` without the passwords in the call's body, should a server have sent them back.
    fn redact(&self, text: &str) -> String {
        let body = serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null);
        let mut clean = text.to_owned();
        redact_passwords(&body, &mut clean);
        clean
    }
}

fn redact_passwords(value: &serde_json::Value, text: &mut String) {
    match value {
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| redact_passwords(item, text))
        }
        serde_json::Value::Object(fields) => {
            for (field, value) in fields {
                match value.as_str() {
                    Some(password) if field.contains("password") && !password.is_empty() => {
                        *text = text.replace(password, "[REDACTED]");
                    }
                    _ => redact_passwords(value, text),
                }
            }
        }
        _ => {}
    }
}

/// A failed send: whether anything can have left this machine is all that matters.
fn transport_cause(error: &reqwest::Error) -> Cause {
    if error.is_connect() {
        Cause::NotSent(chain(error))
    } else if error.is_builder() {
        Cause::Invalid(chain(error))
    } else {
        Cause::Lost(chain(error))
    }
}

/// An error and its sources. The URL is left out: it may carry parameters.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&source.to_string());
        next = source.source();
    }
    if text.is_empty() { "the connection failed".to_owned() } else { text }
}
