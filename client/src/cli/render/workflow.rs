//! Workflows for people: a row in a list, and everything about one of them.

use causeway_proto::v1::workflow::{Cause, Spec, State};
use causeway_proto::v1::workflow_result::Result as Built;
use causeway_proto::v1::{Failure, Finding, LedgerEntry, Workflow, WorkflowResult};

use super::super::commands::explain_of;
use super::super::output::{Style, text};
use super::{Sheet, cluster, step, time};
use crate::watch::is_terminal;

/// A table of workflows.
pub(crate) fn list(workflows: &[Workflow], style: Style) -> String {
    let mut headings =
        vec!["ID", "DEFINITION", "CLUSTER", "STATE", "CREATED", "TOOK", "WAITING FOR"];
    if style.wide {
        headings.extend(["CLUSTER ID", "CONNECTION", "STARTED BY", "LABELS"]);
    }
    let mut table = style.table(&headings);
    for workflow in workflows {
        let waiting = workflow.waiting.as_ref().map(step::waits_for).unwrap_or_default();
        let mut row = vec![
            workflow.id.clone().into(),
            definition(workflow).into(),
            record_name(workflow).into(),
            style.state(workflow.state().as_str_name()),
            time::moment(workflow.create_time.as_ref()).into(),
            time::span(workflow.create_time.as_ref(), workflow.end_time.as_ref()).into(),
            waiting.into(),
        ];
        if style.wide {
            let more = [
                &workflow.cluster_id,
                &workflow.connection,
                &workflow.started_by,
                &labels(workflow),
            ];
            row.extend(more.map(|text| text.clone().into()));
        }
        table.add_row(row);
    }
    text(&table)
}

fn definition(workflow: &Workflow) -> String {
    format!("{}/{}", workflow.definition, workflow.revision)
}

fn record_name(workflow: &Workflow) -> String {
    let name =
        workflow.hybrid_cluster.strip_prefix("hybridClusters/").unwrap_or(&workflow.hybrid_cluster);
    name.to_owned()
}

fn labels(workflow: &Workflow) -> String {
    let mut labels: Vec<_> =
        workflow.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort();
    labels.join(",")
}

/// Everything about one workflow that a person needs: how it stands, what failed, what is left, and what to type next.
#[must_use]
pub fn describe(workflow: &Workflow, style: Style) -> String {
    let steps = if workflow.steps.is_empty() { String::new() } else { steps(workflow, style) };
    told(workflow, &steps, style)
}

/// The same without the steps.
pub(crate) fn outcome(workflow: &Workflow, style: Style) -> String {
    told(workflow, "", style)
}

fn told(workflow: &Workflow, steps: &str, style: Style) -> String {
    let failure =
        workflow.failure.as_ref().map(|failure| failed(failure, style)).unwrap_or_default();
    let found =
        workflow.failure.as_ref().map(|failure| findings(&failure.findings)).unwrap_or_default();
    let result = workflow.result.as_ref().map(|result| built(result, style)).unwrap_or_default();
    let left = if workflow.left.is_empty() { String::new() } else { ledger(&workflow.left, style) };
    heading(workflow)
        .section("Failure", &failure)
        .section("Findings", &found)
        .section("Warnings", &findings(&workflow.warnings))
        .section("Steps", steps)
        .section("Result", &result)
        .section("Left in the world", &left)
        .section("Next", &next_commands(workflow).join("\n"))
        .finish()
}

fn heading(workflow: &Workflow) -> Sheet {
    let cluster = match (record_name(workflow), workflow.cluster_id.as_str()) {
        (name, "") => name,
        (name, id) => format!("{name} ({id})"),
    };
    let turned = match workflow.cause() {
        Cause::Unspecified => String::new(),
        cause => format!(" after {}", step::words(cause.as_str_name())),
    };
    let waiting = workflow.waiting.as_ref().map(|waiting| {
        let step =
            if waiting.step.is_empty() { String::new() } else { format!("{}: ", waiting.step) };
        let since =
            waiting.since.as_ref().map(|since| format!(" (since {})", time::moment(Some(since))));
        format!("{step}{}{}", step::waits_for(waiting), since.unwrap_or_default())
    });
    Sheet::default().fields(&[
        ("Workflow", workflow.id.clone()),
        ("State", format!("{}{turned}", workflow.state().as_str_name())),
        ("Waiting", waiting.unwrap_or_default()),
        ("Definition", definition(workflow)),
        ("Cluster", cluster),
        ("Connection", workflow.connection.clone()),
        ("Labels", labels(workflow)),
        ("Started by", workflow.started_by.clone()),
        ("Created", time::moment(workflow.create_time.as_ref())),
        ("Ended", time::moment(workflow.end_time.as_ref())),
        ("Took", time::span(workflow.create_time.as_ref(), workflow.end_time.as_ref())),
        ("Trace", workflow.trace_id.clone()),
    ])
}

fn failed(failure: &Failure, style: Style) -> String {
    let message = if style.color {
        format!("\u{1b}[31m{}\u{1b}[0m", failure.message)
    } else {
        failure.message.clone()
    };
    Sheet::default()
        .fields(&[
            ("Step", failure.step.clone()),
            ("Class", failure.class().as_str_name().to_owned()),
            ("Code", coded(&failure.code)),
            ("Request id", failure.request_id.clone()),
            ("At", time::moment(failure.time.as_ref())),
        ])
        .line(&message)
        .finish()
}

/// A code, and what to type to learn more about it.
pub(crate) fn coded(code: &str) -> String {
    match explain_of(code) {
        Some(more) => format!("{code} ({more})"),
        None => code.to_owned(),
    }
}

fn findings(findings: &[Finding]) -> String {
    let one = |sheet: Sheet, finding: &Finding| {
        let subject = if finding.subject.is_empty() {
            String::new()
        } else {
            format!(" {}", finding.subject)
        };
        let step =
            if finding.step.is_empty() { String::new() } else { format!(" [{}]", finding.step) };
        let sheet = sheet.line(&format!("{}{subject}: {}{step}", finding.code, finding.message));
        if finding.remedy.is_empty() {
            sheet
        } else {
            sheet.line(&format!("  → {}", finding.remedy))
        }
    };
    findings.iter().fold(Sheet::default(), one).finish()
}

fn steps(workflow: &Workflow, style: Style) -> String {
    let mut headings = vec!["", "STEP", "STATE", "TOOK", "NOTE"];
    if style.wide {
        headings.extend(["ATTEMPT", "FOUND", "AFTER"]);
    }
    let mut table = style.table(&headings);
    for step in &workflow.steps {
        let mut row = vec![
            step::mark(step.state()).sign().into(),
            step.name.clone().into(),
            style.state(step.state().as_str_name()),
            time::span(step.start_time.as_ref(), step.end_time.as_ref()).into(),
            step::note(step).into(),
        ];
        if style.wide {
            let verdict = match step.verdict() {
                causeway_proto::v1::step::Verdict::Unspecified => String::new(),
                verdict => verdict.as_str_name().to_owned(),
            };
            row.extend([step.attempt.to_string(), verdict, step.after.join(",")].map(Into::into));
        }
        table.add_row(row);
    }
    text(&table)
}

/// A table of ledger entries.
pub(crate) fn ledger(entries: &[LedgerEntry], style: Style) -> String {
    let mut table = style.table(&["KIND", "OBJECT", "STATE", "NOTE", "BY HAND"]);
    for entry in entries {
        let state = entry.state().as_str_name();
        table.add_row([&entry.kind, &entry.identity, state, &entry.note, &entry.removal]);
    }
    text(&table)
}

fn built(result: &WorkflowResult, style: Style) -> String {
    match &result.result {
        Some(Built::HybridCluster(result)) => cluster::result(result, style),
        Some(Built::Noop(result)) => format!("{} steps ran, and touched nothing", result.steps),
        None => String::new(),
    }
}

fn takes_down(workflow: &Workflow) -> bool {
    matches!(workflow.spec, Some(Spec::Teardown(_)))
}

/// What the daemon recommends, or else what every workflow in this state allows.
fn next_commands(workflow: &Workflow) -> Vec<String> {
    let id = &workflow.id;
    if let Some(waiting) = &workflow.waiting {
        // This is what `describe` shows: it would send the reader back to where they are.
        let here = format!("causeway describe {id}");
        let elsewhere = waiting.next_commands.iter().filter(|command| **command != here);
        let commands: Vec<_> = elsewhere.cloned().collect();
        if !commands.is_empty() {
            return commands;
        }
    }
    match workflow.state() {
        // A teardown leaves a record only where it had to keep something.
        State::Succeeded if !workflow.hybrid_cluster.is_empty() && !takes_down(workflow) => {
            vec![format!("causeway clusters get {}", record_name(workflow))]
        }
        State::Rejected | State::Compensated => vec![
            format!("causeway history {id}"),
            "causeway start -f FILE    # once the cause is mended".to_owned(),
        ],
        state if is_terminal(state) => Vec::new(),
        _ => vec![format!("causeway watch {id}"), format!("causeway cancel {id}")],
    }
}
