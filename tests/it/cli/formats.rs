//! Every command in every format, of a real daemon: each machine-readable form is parsed back, and all of them agree.

use causeway_proto::v1::workflow::State;
use causeway_proto::v1::{Workflow, step};
use causeway_tests::scripted::{CHECK, Mode, Scripted, Setup, Switches};
use serde_json::{Value, json};

/// Commands that only read, or say the same when they are repeated; `@ended`, `@gated`, `@stuck` and `@waits` stand for workflows.
const COMMANDS: &[&str] = &[
    "example",
    "example --full",
    "validate -f in.json",
    "version",
    "whoami",
    "explain",
    "explain PAST_PIVOT",
    "explain Forbidden",
    "completion bash",
    "man",
    "man pages",
    "connections",
    "connections list",
    "server info",
    "clusters list",
    "clusters get dc1",
    "clusters get dc1 --input",
    "clusters verify dc1",
    "teardown dc1 --dry-run",
    "list",
    "workflows list --filter state=SUCCEEDED",
    "get @ended",
    "describe @stuck",
    "watch @ended",
    "watch @stuck",
    "history @ended",
    "history @ended --limit 3",
    "stuck",
    // With the same request id they have the same answer.
    "start -f in.json --workflow-id ended --request-id started",
    "pause @waits --request-id p1",
    "resume @waits --request-id r1",
    "retry @waits --request-id r2",
    "cancel @waits --request-id c1 --reason over",
    "approve @gated approve-spend --request-id a1 --etag ETAG",
    "skip @stuck 'make[burst]' --reason gone --request-id s1 --etag ETAG",
    "abandon @left --reason over --request-id a2",
    "deny @denied approve-spend --reason no --request-id d1 --etag ETAG",
    "delete @denied --request-id d2",
    "teardown dc1 --yes --request-id t1",
    "clusters teardown dc1 --request-id t1 --wait",
    "server drain --request-id d3",
];

/// Commands whose answer is never the same twice: only what it is about is compared.
const VOLATILE: &[&str] = &[
    "server info",
    "clusters verify",
    "teardown",
    "pause",
    "resume",
    "retry",
    "cancel",
    "skip",
    "abandon",
];

/// Starts a build of a cluster of its own.
async fn start(daemon: &Scripted, id: &str, run: Value) {
    let mut request = Scripted::request(|input| {
        input["run"] = run;
        let number: u32 = id.bytes().map(u32::from).sum();
        input["metadata"]["name"] = json!(id);
        input["spec"]["cluster_id"] = json!(format!("c{number:032}"));
    });
    request.workflow_id = id.to_owned();
    daemon.client().start(request).await.unwrap();
}

/// A daemon with a workflow in each state that the commands need.
async fn place() -> Scripted {
    let daemon = Scripted::start(Switches::default(), &Setup::default()).await;
    daemon.write_input("in.json", |_| {});
    let line = "causeway start -f in.json --workflow-id ended --request-id started --wait";
    assert!(daemon.shell(line).await.status.success());
    let gate = json!({"gates": {"spend": {"required": true}}});
    for gated in ["gated", "denied"] {
        start(&daemon, gated, gate.clone()).await;
        daemon.becomes(gated, State::AwaitingApproval).await;
    }
    daemon.world.check(Mode::Never);
    daemon.world.revert(Mode::Never);
    for stuck in ["stuck", "left"] {
        daemon.world.put(false);
        start(&daemon, stuck, json!({})).await;
        daemon.becomes(stuck, State::Stuck).await;
    }
    daemon.world.check(Mode::Later);
    start(&daemon, "waits", json!({})).await;
    let waits = |step: &step::State| *step == step::State::RetryWait;
    let at_check = |workflow: &Workflow| {
        workflow.steps.iter().any(|step| step.name == CHECK && waits(&step.state()))
    };
    daemon.until("waits", at_check).await;
    daemon
}

/// What a machine reads; fails where it can't.
fn parsed(format: &str, text: &str, line: &str) -> Value {
    let unfit = |error: String| -> Value { panic!("{line} -o {format}: {error}: {text}") };
    match format {
        "json" => serde_json::from_str(text).unwrap_or_else(|error| unfit(error.to_string())),
        "yaml" => serde_saphyr::from_str(text).unwrap_or_else(|error| unfit(error.to_string())),
        "jsonl" => {
            let line = |line: &str| {
                serde_json::from_str(line).unwrap_or_else(|error| unfit(error.to_string()))
            };
            Value::Array(text.lines().map(line).collect())
        }
        other => panic!("{other} is not for machines"),
    }
}

/// Whether two forms say the same, as far as the command says the same twice.
fn same(line: &str, one: &Value, other: &Value) -> bool {
    if VOLATILE.iter().any(|begin| line.starts_with(begin)) {
        return ["id", "version", "digest"].iter().all(|key| one.get(key) == other.get(key));
    }
    one == other
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_speaks_every_format_and_all_forms_agree() {
    let daemon = place().await;
    for command in COMMANDS {
        let id = command.split_whitespace().find_map(|word| word.strip_prefix('@'));
        let etag = match id {
            Some(id) => daemon.client().get(id).await.unwrap().etag,
            None => String::new(),
        };
        let line = command.replace('@', "").replace("ETAG", &etag);
        let mut texts = std::collections::BTreeMap::new();
        for format in ["table", "wide", "json", "jsonl", "yaml", "name"] {
            let ran = daemon.shell(&format!("causeway {line} -o {format}")).await;
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            let code = ran.status.code().unwrap();
            assert!([0, 5].contains(&code), "{line} -o {format}: {code}: {said}");
            let text = String::from_utf8(ran.stdout).unwrap();
            assert!(!text.trim().is_empty(), "{line} -o {format} prints nothing: {said}");
            assert!(!text.contains('\u{1b}'), "{line} -o {format} is coloured");
            texts.insert(format, text);
        }
        let json = parsed("json", &texts["json"], &line);
        let yaml = parsed("yaml", &texts["yaml"], &line);
        assert!(same(&line, &json, &yaml), "{line}: json and yaml differ: {json:#} {yaml:#}");
        let lines = parsed("jsonl", &texts["jsonl"], &line);
        let as_list = if json.is_array() { json } else { json!([json]) };
        let count = (as_list.as_array().unwrap().len(), lines.as_array().unwrap().len());
        assert_eq!(count.0, count.1, "{line}: json and jsonl differ");
        assert!(same(&line, &as_list, &lines), "{line}: json and jsonl differ");
        assert_eq!(texts["name"].lines().count(), count.0, "{line}: {}", texts["name"]);
        assert!(!texts["name"].trim().contains(' '), "{line}: {}", texts["name"]);
    }
    daemon.stop().await;
}
