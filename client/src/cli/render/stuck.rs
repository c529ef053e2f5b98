//! The on-call inbox: one block per workflow that waits for a person.

use causeway_proto::v1::{Failure, LedgerEntry, Step, Workflow, ledger_entry, step as contract};

use super::super::commands::explain_of;
use super::super::output::Style;
use super::{Sheet, step, time, workflow};

/// All of them, those first that are worth the first look.
pub(crate) fn inbox(workflows: &[Workflow], style: Style) -> String {
    workflows.iter().map(|workflow| one(workflow, style)).collect::<Vec<_>>().join("\n")
}

fn one(workflow: &Workflow, style: Style) -> String {
    let waiting = workflow.waiting.clone().unwrap_or_default();
    let since = match &waiting.since {
        None => String::new(),
        since => {
            let ago = time::span(since.as_ref(), Some(&time::now()));
            format!("{} ({ago} ago)", time::moment(since.as_ref()))
        }
    };
    let state = workflow.state().as_str_name();
    let title = if style.color {
        format!("\u{1b}[1m{}\u{1b}[0m", workflow.id)
    } else {
        workflow.id.clone()
    };
    let sheet = Sheet::default().line(&format!("{title}  {state}")).fields(&[
        ("  Cluster", cluster(workflow)),
        ("  Since", since),
        ("  Waits for", step::words(waiting.reason().as_str_name())),
        ("  At", waiting.step.clone()),
        ("  Why", if waits(workflow).is_empty() { waiting.on.clone() } else { String::new() }),
    ]);
    sheet
        .section("  Why", &waits(workflow).iter().map(|step| why(step)).collect::<String>())
        .section("  Left in the world", &left(workflow, style))
        .section("  Next", &waiting.next_commands.join("\n"))
        .finish()
}

fn cluster(of: &Workflow) -> String {
    let name = of.hybrid_cluster.trim_start_matches("hybridClusters/");
    match (name, of.cluster_id.as_str()) {
        ("", id) => id.to_owned(),
        (name, "") => name.to_owned(),
        (name, id) => format!("{name} ({id})"),
    }
}

/// The steps that wait for a person: not only the first.
fn waits(workflow: &Workflow) -> Vec<&Step> {
    let stands = |step: &&Step| {
        matches!(step.state(), contract::State::UndoFailed | contract::State::Held)
            && step.failure.is_some()
    };
    workflow.steps.iter().filter(stands).collect()
}

/// Which step, with the code and the request id that the cloud's support asks for.
fn why(step: &Step) -> String {
    let Failure { code, request_id, message, findings, .. } =
        step.failure.clone().unwrap_or_default();
    let named = |name: &str, value: String| {
        if value.is_empty() { String::new() } else { format!("  {name} {value}") }
    };
    let attempt = if step.attempt > 1 { step.attempt.to_string() } else { String::new() };
    let more = explain_of(&code).map(|more| format!("  {more}\n")).unwrap_or_default();
    let code = named("code", code);
    let request = named("request id", request_id);
    let mut text = format!(
        "{} {}{code}{request}{}\n  {message}\n",
        step.name,
        step::words(step.state().as_str_name()),
        named("attempt", attempt),
    );
    for finding in findings {
        let line = format!("  {} {}: {}\n", finding.code, finding.subject, finding.message);
        text.push_str(&line);
    }
    text.push_str(&more);
    text
}

/// What is left in the world, or possibly left, with how it is removed by hand; empty where nothing is.
pub(crate) fn left(of: &Workflow, style: Style) -> String {
    if of.left.is_empty() { String::new() } else { workflow::ledger(&of.left, style) }
}

/// What a workflow has made or changed so far, a line each.
pub(crate) fn made(workflow: &Workflow) -> Vec<String> {
    let stands = |entry: &&LedgerEntry| {
        entry.state() == ledger_entry::State::Present
            && entry.origin() != ledger_entry::Origin::Adopted
    };
    let entries = workflow.steps.iter().flat_map(|step| &step.effects).filter(stands);
    entries
        .map(|entry| {
            let origin = step::words(entry.origin().as_str_name());
            format!("{origin} {} {}", entry.kind, entry.identity)
        })
        .collect()
}
