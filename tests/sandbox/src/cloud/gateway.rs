//! The gateway before all signed APIs: tells the products apart, authenticates, authorises, applies faults, and hands
//! the call to its product. It must not know what any action does.

use std::{collections::BTreeMap, sync::Arc};

use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    Cloud,
    acs3::{self, Authorization, Refusal},
    answer::{ApiError, Form, request_id},
    cbn, clock, cs, ecs, ess,
    iam::{self, Caller},
    incoming::{Incoming, parse_form},
    ram, sts, vpc,
};
use crate::faults::{CallName, Fault, cut};

/// How long after a lost call its effect lands, in seconds of reality: after its caller's own deadline for one call.
pub(crate) const LATE: u64 = 35;

/// Nonces too old to matter are forgotten each time that so many more have come.
const NONCES_SWEPT: usize = 4096;

/// A product behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Sts,
    Ram,
    Cs,
    Ecs,
    Vpc,
    Cbn,
    Ess,
}

/// An authenticated, authorised call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) product: Product,
    pub(crate) action: String,
    /// From the query and a form body.
    pub(crate) params: BTreeMap<String, String>,
    /// ROA: what stands in the path's holes, in order.
    pub(crate) path_ids: Vec<String>,
    pub(crate) body: Bytes,
    pub(crate) caller: Caller,
    pub(crate) request_id: String,
    /// A fault that changes what the call does.
    pub(crate) effect: Option<Fault>,
}

impl Product {
    fn of_version(version: &str) -> Option<Self> {
        Some(match version {
            "2015-04-01" => Self::Sts,
            "2015-05-01" => Self::Ram,
            "2015-12-15" => Self::Cs,
            "2014-05-26" => Self::Ecs,
            "2016-04-28" => Self::Vpc,
            "2017-09-12" => Self::Cbn,
            "2022-02-22" => Self::Ess,
            _ => return None,
        })
    }

    /// Its name in fault rules.
    fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Ram => "ram",
            Self::Cs => "cs",
            Self::Ecs => "ecs",
            Self::Vpc => "vpc",
            Self::Cbn => "cbn",
            Self::Ess => "ess",
        }
    }

    /// Its name in RAM policies.
    fn ram_code(self) -> &'static str {
        if self == Self::Cbn { "cen" } else { self.name() }
    }
}

impl Call {
    /// A parameter that is given and not empty.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.param(name).ok_or_else(|| ApiError::missing(name))
    }

    /// `true` or `True`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.param(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// `NAME.1`, `NAME.2`, …
    pub(crate) fn numbered(&self, name: &str) -> Vec<String> {
        (1..).map_while(|n| self.param(&format!("{name}.{n}")).map(str::to_owned)).collect()
    }

    /// `Tag.N.Key` and `Tag.N.Value`.
    pub(crate) fn tags(&self) -> Vec<(String, Option<String>)> {
        (1..)
            .map_while(|n| {
                let key = self.param(&format!("Tag.{n}.Key"))?.to_owned();
                Some((key, self.param(&format!("Tag.{n}.Value")).map(str::to_owned)))
            })
            .collect()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::new(400, "InvalidParameter.Body", error.to_string()))
    }

    /// The n-th hole of the path.
    pub(crate) fn path_id(&self, index: usize) -> &str {
        self.path_ids.get(index).map_or("", String::as_str)
    }

    fn is_mutating(&self) -> bool {
        let reading = ["Describe", "List", "Get", "Query", "Check"];
        !reading.iter().any(|prefix| self.action.starts_with(prefix))
    }

    fn name(&self, cloud: &Cloud) -> CallName {
        let object = match self.product {
            Product::Cs => cs::object_of(cloud, self),
            _ => ["UserName", "PolicyName", "NetworkInterfaceId", "InstanceId", "InstanceId.1"]
                .iter()
                .find_map(|name| self.param(name))
                .unwrap_or_default()
                .to_owned(),
        };
        CallName {
            product: self.product.name().into(),
            action: self.action.clone(),
            object,
            mutating: self.is_mutating(),
        }
    }
}

/// Whether a request is for one of the signed APIs, and not for OSS.
pub(crate) fn is_signed_api(request: &Incoming) -> bool {
    request.headers.keys().any(|name| name.as_str().starts_with("x-acs-"))
        || request.has_query("SignatureMethod")
        || request.header("authorization").is_some_and(|value| value.starts_with("acs"))
}

/// Serves one request.
pub(crate) async fn serve(cloud: &Arc<Cloud>, request: Incoming) -> Response {
    let product = Product::of_version(request.header("x-acs-version").unwrap_or_default());
    let form = form_of(&request, product);
    match admit(cloud, &request, product, &form) {
        Ok(call) => Box::pin(run(cloud, call, &form)).await,
        Err(error) => form.refusal(&error),
    }
}

fn form_of(request: &Incoming, product: Option<Product>) -> Form {
    let accepts = request.header("accept").is_some_and(|value| value.contains("json"));
    let format = request.query_value("Format").is_some_and(|it| it.eq_ignore_ascii_case("json"));
    Form {
        request_id: request_id(),
        host: request.host().to_owned(),
        action: request.header("x-acs-action").unwrap_or("Unknown").to_owned(),
        json: accepts || format,
        roa: product == Some(Product::Cs),
    }
}

/// All that is checked before a call may do anything.
fn admit(
    cloud: &Arc<Cloud>,
    request: &Incoming,
    product: Option<Product>,
    form: &Form,
) -> Result<Call, ApiError> {
    let caller = authenticate(cloud, request, product == Some(Product::Cs))?;
    let product = product.ok_or_else(|| {
        let version = request.header("x-acs-version").unwrap_or_default();
        let message = format!("Specified parameter Version is not valid: {version}");
        ApiError::gateway(400, "NoSuchVersion", message)
    })?;
    let mut params: BTreeMap<String, String> = request
        .query
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().unwrap_or_default()))
        .collect();
    if request.header("content-type").is_some_and(|kind| kind.contains("form-urlencoded")) {
        params.extend(parse_form(&request.body));
    }
    let action = request.header("x-acs-action").unwrap_or_default().to_owned();
    let path_ids = match product {
        Product::Cs => cs::route(&request.method, &request.path, &action)
            .ok_or_else(|| ApiError::unknown_action(&action))?,
        _ => Vec::new(),
    };
    authorise(cloud, product, &action, &caller)?;
    Ok(Call {
        product,
        action,
        params,
        path_ids,
        body: request.body.clone(),
        caller,
        request_id: form.request_id.clone(),
        effect: None,
    })
}

fn authenticate(cloud: &Cloud, request: &Incoming, roa: bool) -> Result<Caller, ApiError> {
    let incomplete = |why: String| ApiError::gateway(400, "IncompleteSignature", why);
    let refused = |refusal| match refusal {
        Refusal::Incomplete(why) => incomplete(why),
        Refusal::Mismatch(text) => {
            let message = format!(
                "Specified signature does not match our calculation. server string to sign is: \
                 {text}"
            );
            ApiError::gateway(400, "SignatureDoesNotMatch", message)
        }
    };
    let header = request.header("authorization").unwrap_or_default();
    let authorization = Authorization::parse(header).map_err(refused)?;
    let mut state = cloud.state();
    let (user, key) = iam::find_key(&state, &authorization.access_key_id)?;
    let caller = Caller { user: user.user_name.clone(), access_key_id: key.id.clone() };
    let date = request.header("x-acs-date").unwrap_or_default();
    let at: Timestamp = match date.parse() {
        Ok(at) if date.len() == 20 && date.ends_with('Z') => at,
        _ => {
            let message = "Specified time stamp must look like 2026-11-23T08:00:00Z.";
            return Err(ApiError::gateway(400, "InvalidTimeStamp.Format", message));
        }
    };
    if !clock::is_fresh(at) {
        let message = "Specified time stamp or date value is expired.";
        return Err(ApiError::gateway(400, "InvalidTimeStamp.Expired", message));
    }
    acs3::verify(request, &authorization, &key.secret, !roa).map_err(refused)?;
    let nonce = request.header("x-acs-signature-nonce").filter(|nonce| !nonce.is_empty());
    let nonce = nonce.ok_or_else(|| incomplete("x-acs-signature-nonce is needed".into()))?;
    let nonces = &mut state.history.nonces;
    if !nonces.is_empty() && nonces.len().is_multiple_of(NONCES_SWEPT) {
        nonces.retain(|_, used| clock::is_fresh(*used));
    }
    let used = nonces.insert(format!("{} {nonce}", caller.access_key_id), clock::now());
    if used.is_some() {
        let message = "Specified signature nonce was used already.";
        return Err(ApiError::gateway(400, "SignatureNonceUsed", message));
    }
    Ok(caller)
}

fn authorise(
    cloud: &Cloud,
    product: Product,
    action: &str,
    caller: &Caller,
) -> Result<(), ApiError> {
    // Who one is, everybody may ask.
    let free = product == Product::Sts && action == "GetCallerIdentity";
    let name = format!("{}:{action}", product.ram_code());
    if free {
        return Ok(());
    }
    if iam::allowed(&cloud.state(), &caller.user, &name) {
        if caller.access_key_id == cloud.account.access_key_id {
            cloud.faults.uses().note_cloud(&name);
        }
        return Ok(());
    }
    Err(not_permitted(product, &caller.user, &name))
}

fn not_permitted(product: Product, user: &str, action: &str) -> ApiError {
    let code = if product == Product::Ram { "NoPermission" } else { "Forbidden.RAM" };
    let message = format!("User {user} is not authorized to do {action} on the resource.");
    ApiError::gateway(403, code, message)
}

async fn run(cloud: &Arc<Cloud>, mut call: Call, form: &Form) -> Response {
    let answer = |result: Result<Value, ApiError>| match result {
        Ok(value) => form.success(value),
        Err(error) => form.refusal(&error),
    };
    if call.caller.access_key_id != cloud.account.access_key_id {
        return answer(dispatch(cloud, &call));
    }
    let name = call.name(cloud);
    let Ok(fault) = cloud.faults.enter(&name, cloud.pace).await else { cut() };
    let result = match &fault {
        Some(Fault::Error { status, code }) => Err(injected(&call, *status, code.as_deref())),
        Some(Fault::Throttle) => {
            let wait = cloud.pace.scale(std::time::Duration::from_secs(1));
            Err(ApiError::throttled(wait.as_millis()))
        }
        Some(Fault::Late) => {
            let late = Arc::clone(cloud);
            cloud.spawn(async move {
                late.after(LATE).await;
                // Nobody is there any more to take the answer.
                drop(dispatch(&late, &call));
            });
            cut()
        }
        _ => {
            call.effect.clone_from(&fault);
            dispatch(cloud, &call)
        }
    };
    if cloud.faults.leave(&name, fault.as_ref()).await.is_err() {
        cut();
    }
    answer(result)
}

/// The refusal that a fault rule asks for; the code is the product's usual one unless given.
fn injected(call: &Call, status: u16, code: Option<&str>) -> ApiError {
    let usual = match status {
        401 => "InvalidAccessKeyId.NotFound",
        403 => {
            let name = format!("{}:{}", call.product.ram_code(), call.action);
            let refused = not_permitted(call.product, &call.caller.user, &name);
            return match code {
                Some(code) => ApiError::new(403, code, refused.message),
                None => refused,
            };
        }
        404 => "InvalidResource.NotFound",
        409 => "OperationConflict",
        429 => "Throttling",
        500 => "InternalError",
        502..=504 => "ServiceUnavailable",
        _ => "InvalidParameter",
    };
    let code = code.unwrap_or(usual);
    ApiError::new(status, code, format!("{code}: refused by a fault rule."))
}

fn dispatch(cloud: &Arc<Cloud>, call: &Call) -> Result<Value, ApiError> {
    match call.product {
        Product::Sts => sts::answer(cloud, call),
        Product::Ram => ram::answer(cloud, call),
        Product::Cs => cs::answer(cloud, call),
        Product::Ecs => ecs::answer(cloud, call),
        Product::Vpc => vpc::answer(cloud, call),
        Product::Cbn => cbn::answer(call),
        Product::Ess => ess::answer(cloud, call),
    }
}
