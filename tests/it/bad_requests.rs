//! Bad input over the API changes nothing (P7): cases are derived from the contract itself, for every field of every rpc, so that
//! none is forgotten. Each is refused with the right code, a known reason, the field's path and few words; nothing of it is kept,
//! done or shown again.

mod contract;

use std::collections::BTreeMap;

use causeway_proto::limits::{
    DURATION_SECONDS_MAX, LIST_LEN_MAX, MAP_LEN_MAX, REQUEST_BYTES_MAX, SCRIPT_BYTES_MAX,
    STRING_BYTES_MAX,
};
use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{ListWorkflowsRequest, Workflow};
use causeway_proto::{names, reasons};
use causeway_tests::Scene;
use causeway_tests::leaks::{Place as Bytes, Search};
use futures::{StreamExt as _, stream};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MapKey, MethodDescriptor, Value};
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use contract::{KEY, Place, call, many, message_of, named, route, rpcs};

/// The workflow that is there, and waits at its gate.
const LIVE: &str = "live";
const GATE: &str = "approve-spend";
/// Stands in every value of a field that may hold a secret, and in the credentials of every call.
const SECRETS: [(&str, &str); 2] =
    [("script", "s3cr3t-in-a-script"), ("token", "s3cr3t-of-a-caller")];
/// Calls at once: no more than the daemon makes plans.
const AT_A_TIME: usize = 4;
/// Longest words about one field.
const WORDS_MAX: usize = 700;
/// No name, id, token, number or version of anything.
const NONSENSE: &str = "\u{2603} $(reboot) '../..";
/// Texts that may say anything: words of people. (And a step, which is looked for once the etag fits.)
const FREE: [&str; 3] = ["reason", "spec.vpc.skip_route_check_reason", "step"];
/// What an acceptable call must never be sent of, as it would stop the daemon.
const NEVER_ACCEPTED: [&str; 1] = ["Drain"];
/// What may be left out and then makes a call acceptable that the others only look at.
const KEEPS_CALLS_HARMLESS: [&str; 2] = ["etag", "workflow_id"];
/// What can't be left out.
const REQUIRED: [&str; 12] = [
    "name",
    "parent",
    "step",
    "spec",
    "metadata",
    "metadata.name",
    "spec.connection",
    "spec.cluster_id",
    "spec.region",
    "spec.vpc",
    "spec.vpc.id",
    "spec.node_pools",
];

/// What must come of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// INVALID_ARGUMENT, INVALID_FIELD, by its path.
    Field,
    /// Refused, in a way that fits what the field is for.
    Refused,
    /// Refused, or answered as the acceptable call is.
    Harmless,
    /// The bytes are no message.
    Unreadable,
    /// The message is too large.
    TooLarge,
}

struct Case {
    rpc: MethodDescriptor,
    path: String,
    what: &'static str,
    body: Vec<u8>,
    expect: Expect,
}

/// An acceptable request: of the live workflow, but with an etag or an id that lets nothing come of it.
fn acceptable(rpc: &MethodDescriptor, start: &DynamicMessage) -> DynamicMessage {
    let mut request = DynamicMessage::new(rpc.input());
    let text = |text: &str| Value::String(text.to_owned());
    let name = if rpc.parent_service().name() == "WorkflowService" {
        names::workflow(LIVE)
    } else {
        names::hybrid_cluster("none")
    };
    let known: BTreeMap<&str, Value> = [
        ("name", text(&name)),
        ("parent", text(&name)),
        ("step", text(GATE)),
        ("etag", text("1-stale")),
        ("reason", text("a test")),
        ("workflow_id", text(LIVE)),
    ]
    .into();
    for field in rpc.input().fields() {
        if let Some(value) = known.get(field.name()) {
            request.set_field(&field, value.clone());
        } else if let Some(of_start) = named(start, field.name())
            && of_start.kind() == field.kind()
            && start.has_field(&of_start)
        {
            request.set_field(&field, start.get_field(&of_start).into_owned());
        }
    }
    request
}

/// The case of a field that is left out, where that can be told from one that is there.
fn missing(place: &Place, request: &DynamicMessage) -> Option<(Value, &'static str, Expect)> {
    let kept = KEEPS_CALLS_HARMLESS.contains(&place.field().name());
    if kept || !place.stands_in(request) {
        return None;
    }
    let required = REQUIRED.contains(&place.path().as_str());
    let expect = if required { Expect::Refused } else { Expect::Harmless };
    Some((Value::Bool(false), "missing", expect))
}

/// Values of a field that are wrong by themselves.
fn wrong_values(place: &Place) -> Vec<(Value, &'static str, Expect)> {
    let field = place.field();
    let script = field.full_name() == "causeway.v1.InitScript.Inline.script";
    let wrap = |value: Value| if field.is_list() { Value::List(vec![value]) } else { value };
    let secret = |text: &str| {
        let text = if script { format!("{}{text}", SECRETS[0].1) } else { text.to_owned() };
        wrap(Value::String(text))
    };
    let mut values = match field.kind() {
        Kind::Message(_) if field.is_map() => {
            let entry = |key: &str, value: &str| {
                let entry = (MapKey::String(key.to_owned()), Value::String(value.to_owned()));
                Value::Map([entry].into())
            };
            vec![
                (many(field, MAP_LEN_MAX + 1), "too many entries", Expect::Field),
                (entry(&"Z".repeat(STRING_BYTES_MAX + 1), ""), "too long a key", Expect::Field),
                (entry("k\u{7}", ""), "an invisible character in a key", Expect::Field),
                (entry(KEY, &"Z".repeat(STRING_BYTES_MAX + 1)), "too long a value", Expect::Field),
                (entry(KEY, "\u{1b}[31m"), "an escape sequence in a value", Expect::Field),
            ]
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.Duration" => {
            let of = |seconds: i64, nanos: i32| {
                let mut duration = DynamicMessage::new(message.clone());
                duration.set_field_by_name("seconds", Value::I64(seconds));
                duration.set_field_by_name("nanos", Value::I32(nanos));
                wrap(Value::Message(duration))
            };
            let longest = i64::try_from(DURATION_SECONDS_MAX).unwrap();
            [of(-1, 0), of(0, -1), of(1, 1_000_000_000), of(longest + 1, 0), of(i64::MAX, 0)]
                .map(|value| (value, "no such duration", Expect::Field))
                .into()
        }
        Kind::String => {
            let max = if script { SCRIPT_BYTES_MAX } else { STRING_BYTES_MAX };
            let free = script || FREE.contains(&place.path().as_str());
            let nonsense = if free { Expect::Harmless } else { Expect::Refused };
            vec![
                (secret(&"Z".repeat(max + 1)), "too long", Expect::Field),
                (secret("a\u{0}b"), "a zero", Expect::Field),
                (secret("a\u{202e}b"), "a turn of direction", Expect::Field),
                (secret(NONSENSE), "nonsense", nonsense),
            ]
        }
        Kind::Enum(_) => {
            let number = |n: i32| (wrap(Value::EnumNumber(n)), "no such value", Expect::Field);
            vec![number(9999), number(-1)]
        }
        Kind::Int32 => vec![
            (Value::I32(-1), "negative", Expect::Field),
            (Value::I32(i32::MIN), "very negative", Expect::Field),
            (Value::I32(i32::MAX), "huge", Expect::Harmless),
        ],
        Kind::Uint32 => vec![(Value::U32(u32::MAX), "huge", Expect::Refused)],
        Kind::Bool | Kind::Message(_) => Vec::new(),
        other => panic!("{}: what is bad input of the kind {other:?}?", place.path()),
    };
    if field.is_list() {
        values.push((many(field, LIST_LEN_MAX + 1), "too many elements", Expect::Field));
    }
    values
}

/// All cases of an rpc.
fn cases(rpc: &MethodDescriptor, request: &DynamicMessage) -> Vec<Case> {
    let case =
        |path: String, what, body, expect| Case { rpc: rpc.clone(), path, what, body, expect };
    let mut cases = Vec::new();
    for place in Place::all(&rpc.input()) {
        if let Some((_, what, expect)) = missing(&place, request) {
            cases.push(case(place.path(), what, place.clear(request).encode_to_vec(), expect));
        }
        for (value, what, expect) in wrong_values(&place) {
            let body = place.put(request, value).encode_to_vec();
            cases.push(case(place.path(), what, body, expect));
        }
        for body in place.mistyped() {
            cases.push(case(place.path(), "of another type", body, Expect::Unreadable));
        }
    }
    let whole = |what, body, expect| case(String::new(), what, body, expect);
    cases.push(whole("no message", vec![0xff; 40], Expect::Unreadable));
    // A field that nobody knows, and that no request can hold as a whole.
    let large = [vec![0xfa, 0xff, 0x03, 0x80, 0x80, 0x40], vec![0; REQUEST_BYTES_MAX]].concat();
    cases.push(whole("too large", large, Expect::TooLarge));
    let refused = |case: &Case| !matches!(case.expect, Expect::Harmless);
    cases.retain(|case| !NEVER_ACCEPTED.contains(&rpc.name()) || refused(case));
    cases
}

/// Everything that is amiss with how a case was answered.
fn amiss(case: &Case, answer: &Result<Vec<u8>, Status>, acceptable: Code) -> Vec<String> {
    let status = match answer {
        Ok(_) if case.expect == Expect::Harmless && acceptable == Code::Ok => return Vec::new(),
        Ok(_) => return vec!["it was accepted".to_owned()],
        Err(status) => status,
    };
    let as_acceptable = case.expect == Expect::Harmless && status.code() == acceptable;
    let details = status.get_error_details();
    let mut amiss = Vec::new();
    let Some(info) = details.error_info() else {
        return vec![format!("it has no ErrorInfo: {status:?}")];
    };
    if info.domain != reasons::DOMAIN
        || !reasons::ALL.iter().any(|(known, _)| *known == info.reason)
    {
        amiss.push(format!("{}/{} is not of the contract", info.domain, info.reason));
    }
    let paths: Vec<String> = details.bad_request().map_or_else(Vec::new, |bad| {
        bad.field_violations.iter().map(|violation| violation.field.clone()).collect()
    });
    let below = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let named = paths.iter().any(|path| below(path, &case.path) || below(&case.path, path));
    let said = (status.code(), info.reason.as_str());
    let fits = match case.expect {
        Expect::Field => said == (Code::InvalidArgument, "INVALID_FIELD") && named,
        Expect::Unreadable => said == (Code::InvalidArgument, "REQUEST_UNREADABLE"),
        Expect::TooLarge => said == (Code::InvalidArgument, "REQUEST_TOO_LARGE"),
        Expect::Refused | Expect::Harmless => {
            let field = status.code() == Code::InvalidArgument && named;
            let gone = matches!(said, (Code::NotFound, _) | (Code::OutOfRange, "CURSOR_EXPIRED"));
            field || gone || as_acceptable
        }
    };
    let words = status.message();
    if !fits {
        amiss.push(format!("{said:?} names {paths:?}"));
    }
    // Of a union the decoder names the union, of a field that is not supported yet the whole is named.
    let part =
        |part: &str| part != "spec" && words.contains(part.split('[').next().unwrap_or(part));
    let unnamed = !case.path.is_empty() && !case.path.split('.').any(part);
    if unnamed && !as_acceptable && case.path != "spec" && said.0 == Code::InvalidArgument {
        amiss.push(format!("{} is not named in the words", case.path));
    }
    if words.len() > WORDS_MAX || words.contains(&"Z".repeat(200)) || words.len() < 20 {
        amiss.push(format!("{} bytes of words", words.len()));
    }
    amiss
        .iter()
        .map(|wrong| format!("{wrong}: {}", words.chars().take(300).collect::<String>()))
        .collect()
}

async fn status_of(
    channel: &Channel,
    rpc: &MethodDescriptor,
    body: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    call(channel.clone(), &route(rpc), body, SECRETS[1].1).await
}

/// Everything that is there: the workflows, and their histories.
async fn all_there(scene: &Scene) -> Vec<(Workflow, usize)> {
    let client = scene.client();
    let listed = client.list(ListWorkflowsRequest::default()).await.unwrap();
    let mut all = Vec::new();
    for workflow in listed.workflows {
        let events = client.events(&workflow.id, 1000, "").await.unwrap().events.len();
        all.push((workflow, events));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_every_rpc_refuses_what_is_wrong_and_nothing_changes() {
    let mut scene = Scene::guide().await;
    let mut document = scene.document(1);
    document["run"]["gates"]["spend"] = json!({"required": true});
    let mut start = Scene::request(&document);
    start.workflow_id = LIVE.to_owned();
    scene.client().start(start.clone()).await.unwrap();
    assert_eq!(scene.rested(LIVE).await.state(), State::AwaitingApproval);
    let (there, ledger) = (all_there(&scene).await, scene.ledger().await);
    let address = scene.world.endpoints().daemon.clone();
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();

    let of_start = message_of(&start);
    let etag = scene.client().get(LIVE).await.unwrap().etag;
    let mut wrong = ask_for_what_is_not_there(&channel, &etag, &of_start).await;
    let mut count = 0;
    let search = Search::new(SECRETS);
    for rpc in rpcs() {
        let request = acceptable(&rpc, &of_start);
        let accepted = if NEVER_ACCEPTED.contains(&rpc.name()) {
            Code::Ok
        } else {
            match status_of(&channel, &rpc, request.encode_to_vec()).await {
                Ok(_) => Code::Ok,
                Err(status) => status.code(),
            }
        };
        let answered = stream::iter(cases(&rpc, &request))
            .map(|case| async {
                let answer = status_of(&channel, &case.rpc, case.body.clone()).await;
                (amiss(&case, &answer, accepted), case, answer)
            })
            .buffer_unordered(AT_A_TIME)
            .collect::<Vec<_>>()
            .await;
        for (found, case, answer) in answered {
            count += 1;
            let at = format!("{} {} {:?} ({:?})", rpc.name(), case.path, case.what, case.expect);
            wrong.extend(found.into_iter().map(|words| format!("{at}: {words}")));
            let said = format!("{answer:?}");
            wrong.extend(search.find(&Bytes::text(at, said)));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} are amiss:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(all_there(&scene).await, there);
    assert!(ledger == scene.ledger().await, "the world has changed");
    let log = scene.daemon().log();
    assert!(scene.daemon_runs() && !log.contains("panicked"), "{log}");
    assert_eq!(search.find(&Bytes::text("the daemon's log", log)), [] as [String; 0]);
}

/// Asks each rpc for what is not there; everything that is amiss with the answers.
async fn ask_for_what_is_not_there(
    channel: &Channel,
    etag: &str,
    start: &DynamicMessage,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for rpc in rpcs() {
        let request = acceptable(&rpc, start);
        for (field, absent) in [("name", "w0"), ("parent", "w0"), ("step", "no-step")] {
            let Some(found) = named(&request, field) else { continue };
            let mut request = request.clone();
            request.set_field(&found, Value::String(absent.to_owned()));
            if let (Some(known), "step") = (named(&request, "etag"), field) {
                request.set_field(&known, Value::String(etag.to_owned()));
            }
            let Err(status) = status_of(channel, &rpc, request.encode_to_vec()).await else {
                wrong.push(format!("{} found {absent}", rpc.name()));
                continue;
            };
            let details = status.get_error_details();
            let named = details.resource_info().is_some_and(|it| it.resource_name.contains(absent));
            if status.code() != Code::NotFound || !named || !status.message().contains(absent) {
                wrong.push(format!("{} {field}: {status:?}", rpc.name()));
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_contract_does_not_have_is_refused_in_its_words() {
    let scene = Scene::guide().await;
    let address = scene.world.endpoints().daemon.clone();
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    for path in ["/causeway.v1.WorkflowService/Explode", "/causeway.v2.WorkflowService/GetWorkflow"]
    {
        let status = call(channel.clone(), path, Vec::new(), "x").await.unwrap_err();
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.as_str());
        assert_eq!((status.code(), reason), (Code::Unimplemented, Some("RPC_NOT_IMPLEMENTED")));
    }
}
