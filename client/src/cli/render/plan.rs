//! A plan for people: what would change and what it costs first, then every step with its differences, what the daemon may not
//! do, and what to type next.

use causeway_proto::v1::finding::Severity;
use causeway_proto::v1::planned_change::Action;
use causeway_proto::v1::planned_permission::{Kind, State as Permitted};
use causeway_proto::v1::planned_step::State;
use causeway_proto::v1::{Plan, PlannedChange, PlannedNodes, PlannedPermission, PlannedStep};

use super::super::output::Style;
use super::Sheet;

/// Codes of the colours that are used.
pub(super) const GREEN: &str = "32";
pub(super) const RED: &str = "31";
pub(super) const YELLOW: &str = "33";
pub(super) const BOLD: &str = "1";

/// The whole plan; `file` is how the input file was named.
pub(crate) fn plan(plan: &Plan, file: &str, style: Style) -> String {
    let sheet = Sheet::default()
        .line(&paint(&headline(plan), BOLD, style))
        .section("Findings", &findings(plan, style));
    let sheet = sheet.section("Steps", &checks(plan)).paragraph(&steps(plan, style));
    let pivot = if plan.pivot.is_empty() {
        "none: everything can be undone".to_owned()
    } else {
        format!("{}: from there on the only way is forward", plan.pivot)
    };
    sheet
        .section("Paid for", &paid(plan))
        .section("Pivot", &pivot)
        .section("Permissions", &permissions(plan, style))
        .section("Next", &next(plan, file))
        .finish()
}

/// `12 to change, 3 adopted, 0 conflicts; 3 nodes of ecs.g7.xlarge to be paid for`
pub(crate) fn headline(plan: &Plan) -> String {
    let Plan { changes, adoptions, conflicts, .. } = plan;
    let mut line = format!("{changes} to change, {adoptions} adopted, {conflicts} conflicts");
    let nodes: Vec<String> = plan.nodes.iter().map(nodes_words).collect();
    if !nodes.is_empty() {
        line.push_str(&format!("; {} to be paid for", nodes.join(", ")));
    }
    line
}

fn nodes_words(nodes: &PlannedNodes) -> String {
    let plural = if nodes.count == 1 { "node" } else { "nodes" };
    format!("{} {plural} of {}", nodes.count, nodes.instance_types.join(" or "))
}

fn paid(plan: &Plan) -> String {
    let line = |nodes: &PlannedNodes| {
        format!("{} in pool {}, {}\n", nodes_words(nodes), nodes.node_pool, nodes.charge)
    };
    plan.nodes.iter().map(line).collect()
}

pub(super) fn findings(plan: &Plan, style: Style) -> String {
    let mut text = String::new();
    for finding in &plan.findings {
        let (word, colour) = match finding.severity() {
            Severity::Error => ("error", RED),
            _ => ("warning", YELLOW),
        };
        let subject = if finding.subject.is_empty() {
            String::new()
        } else {
            format!(" {}", finding.subject)
        };
        let word = paint(word, colour, style);
        text.push_str(&format!("{word} {}{subject}: {}\n", finding.code, finding.message));
        if !finding.remedy.is_empty() {
            text.push_str(&format!("  → {}\n", finding.remedy));
        }
    }
    text
}

/// What holds needs but one line.
fn checks(plan: &Plan) -> String {
    let names: Vec<&str> = plan
        .steps
        .iter()
        .filter(|step| step.state() == State::Passes)
        .map(|step| step.name.as_str())
        .collect();
    match names.len() {
        0 => String::new(),
        1 => format!("✓ {} holds", names[0]),
        many => format!("✓ {many} checks hold: {}", names.join(", ")),
    }
}

fn steps(plan: &Plan, style: Style) -> String {
    let shown = plan.steps.iter().filter(|step| step.state() != State::Passes);
    shown.map(|one| step(one, style)).collect()
}

fn step(step: &PlannedStep, style: Style) -> String {
    let changes = |action| step.changes.iter().any(|change| change.action() == action);
    let (mark, colour) = match step.state() {
        State::Conflict | State::Fails => ("✗", RED),
        State::Unread => ("?", RED),
        State::WaitsForApproval => ("…", YELLOW),
        State::Keeps => ("=", YELLOW),
        State::Undo if changes(Action::Remove) => ("-", RED),
        State::Undo => ("~", YELLOW),
        State::Observed | State::KnownAfter if changes(Action::Modify) => ("~", YELLOW),
        State::Observed | State::KnownAfter if changes(Action::Create) => ("+", GREEN),
        State::Observed => ("=", BOLD),
        _ => ("·", BOLD),
    };
    let name = paint(&step.name, BOLD, style);
    let mut text = format!("  {} {name}  {}\n", paint(mark, colour, style), step.summary);
    if !step.note.is_empty() {
        text.push_str(&format!("      {}\n", paint(&step.note, RED, style)));
    }
    for change in step.changes.iter().filter(|change| !change.diff.is_empty()) {
        text.push_str(&difference(change, step.changes.len() > 1, style));
    }
    if !step.undo.is_empty() && !step.changes.is_empty() {
        text.push_str(&format!("      undo: {}\n", step.undo));
    }
    text
}

pub(super) fn difference(change: &PlannedChange, titled: bool, style: Style) -> String {
    let mut text = String::new();
    if titled {
        text.push_str(&format!("      {} {}\n", change.kind, change.identity));
    }
    for line in change.diff.lines() {
        let line = match line.as_bytes().first() {
            Some(b'+') => paint(line, GREEN, style),
            Some(b'-') => paint(line, RED, style),
            _ => line.to_owned(),
        };
        text.push_str(&format!("      {line}\n"));
    }
    text
}

fn permissions(plan: &Plan, style: Style) -> String {
    let of = |kind: Kind, state: Permitted| -> Vec<&PlannedPermission> {
        let all = plan.permissions.iter();
        all.filter(|one| one.kind() == kind && one.state() == state).collect()
    };
    let mut text = String::new();
    for (kind, word, why) in [
        (Kind::Kubernetes, "Kubernetes", "it could not be asked"),
        (Kind::Ram, "RAM", "it can't be asked without doing it"),
    ] {
        let missing = of(kind, Permitted::Missing);
        let (granted, unknown) = (of(kind, Permitted::Granted), of(kind, Permitted::Unknown));
        if missing.is_empty() && granted.is_empty() && unknown.is_empty() {
            continue;
        }
        text.push_str(&format!(
            "{word}: {} granted, {} missing, {} unknown\n",
            granted.len(),
            missing.len(),
            unknown.len()
        ));
        for one in missing {
            let line = format!("  missing: {} ({})", one.permission, one.steps.join(", "));
            text.push_str(&format!("{}\n", paint(&line, RED, style)));
        }
        if !unknown.is_empty() {
            text.push_str(&format!("  unknown, as {why}: {}\n", names(&unknown)));
        }
        if style.wide && !granted.is_empty() {
            text.push_str(&format!("  granted: {}\n", names(&granted)));
        }
    }
    text
}

fn names(permissions: &[&PlannedPermission]) -> String {
    let names: Vec<&str> = permissions.iter().map(|one| one.permission.as_str()).collect();
    names.join(", ")
}

fn next(plan: &Plan, file: &str) -> String {
    if plan.digest.is_empty() {
        return format!(
            "not everything could be looked at, so this plan has no digest; mend that, then:\ncauseway plan -f {file}"
        );
    }
    let errors = plan.findings.iter().any(|finding| finding.severity() == Severity::Error);
    if errors || plan.conflicts > 0 {
        return format!(
            "a start would not succeed; mend what is said above, then:\ncauseway plan -f {file}"
        );
    }
    format!("causeway start -f {file} --plan {}", plan.digest)
}

pub(super) fn paint(text: &str, code: &str, style: Style) -> String {
    if style.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use causeway_proto::v1::Finding;

    use super::*;

    fn sample() -> Plan {
        let change = PlannedChange {
            kind: "daemonset".to_owned(),
            identity: "kube-system/calico-node".to_owned(),
            action: Action::Modify.into(),
            diff: "  spec:\n+   affinity: fenced\n".to_owned(),
        };
        let step = |name: &str, state: State| PlannedStep {
            name: name.to_owned(),
            state: state.into(),
            ..PlannedStep::default()
        };
        let fence = PlannedStep {
            summary: "changes daemonset kube-system/calico-node".to_owned(),
            changes: vec![change],
            undo: "takes it out again".to_owned(),
            ..step("fence-calico", State::Observed)
        };
        let later = PlannedStep {
            summary: "known after scale-out[burst]".to_owned(),
            ..step("verify-cni", State::KnownAfter)
        };
        let missing = PlannedPermission {
            kind: Kind::Kubernetes.into(),
            permission: "patch daemonsets in kube-system".to_owned(),
            state: Permitted::Missing.into(),
            steps: vec!["fence-calico".to_owned()],
        };
        let unknown = PlannedPermission {
            kind: Kind::Ram.into(),
            permission: "ram:CreateUser".to_owned(),
            state: Permitted::Unknown.into(),
            steps: vec!["create-ram-user".to_owned()],
        };
        Plan {
            digest: "plan-0123".to_owned(),
            changes: 2,
            adoptions: 1,
            steps: vec![
                step("check-identity", State::Passes),
                step("check-network", State::Passes),
                fence,
                later,
            ],
            findings: vec![Finding {
                severity: Severity::Warning.into(),
                code: "VPC_BLOCK_OVERLAP".to_owned(),
                subject: "10.100.0.0/16".to_owned(),
                message: "the VPC's block contains it".to_owned(),
                remedy: "nothing".to_owned(),
                ..Finding::default()
            }],
            nodes: vec![PlannedNodes {
                node_pool: "burst".to_owned(),
                count: 2,
                instance_types: vec!["ecs.g7.xlarge".to_owned()],
                charge: "pay-as-you-go".to_owned(),
            }],
            permissions: vec![missing, unknown],
            ..Plan::default()
        }
    }

    #[test]
    fn a_plan_is_read_from_top_to_bottom() {
        let text = plan(&sample(), "dc1.yaml", Style { color: false, wide: false });
        let expected = "\
2 to change, 1 adopted, 0 conflicts; 2 nodes of ecs.g7.xlarge to be paid for

Findings
  warning VPC_BLOCK_OVERLAP 10.100.0.0/16: the VPC's block contains it
    → nothing

Steps
  ✓ 2 checks hold: check-identity, check-network

  ~ fence-calico  changes daemonset kube-system/calico-node
        spec:
      +   affinity: fenced
      undo: takes it out again
  · verify-cni  known after scale-out[burst]

Paid for
  2 nodes of ecs.g7.xlarge in pool burst, pay-as-you-go

Pivot
  none: everything can be undone

Permissions
  Kubernetes: 0 granted, 1 missing, 0 unknown
    missing: patch daemonsets in kube-system (fence-calico)
  RAM: 0 granted, 0 missing, 1 unknown
    unknown, as it can't be asked without doing it: ram:CreateUser

Next
  causeway start -f dc1.yaml --plan plan-0123
";
        assert_eq!(text, expected, "got:\n{text}");
    }

    #[test]
    fn a_plan_that_would_not_succeed_offers_no_start() {
        for (digest, conflicts) in [("plan-0123", 1), ("", 0)] {
            let bad = Plan { conflicts, digest: digest.to_owned(), ..sample() };
            let text = plan(&bad, "dc1.yaml", Style { color: false, wide: false });
            assert!(!text.contains("causeway start"), "{text}");
            assert!(text.ends_with("causeway plan -f dc1.yaml\n"), "{text}");
        }
    }
}
