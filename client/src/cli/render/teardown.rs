//! Finished clusters for people: what taking one down would undo, and what has become of one since it was built.

use causeway_proto::v1::planned_step::State as Outlook;
use causeway_proto::v1::verified_step::State as Held;
use causeway_proto::v1::{HybridClusterVerification, Plan, PlannedStep, VerifiedStep};

use super::super::output::Style;
use super::Sheet;
use super::plan::{BOLD, GREEN, RED, YELLOW, difference, findings, paint};

/// The plan of a teardown, and what to type next.
pub(crate) fn planned(plan: &Plan, cluster: &str, forget: bool, style: Style) -> String {
    let forget = if forget { " --forget" } else { "" };
    let next = if plan.digest.is_empty() {
        format!(
            "not everything could be looked at, so this plan has no digest; mend that, then:\ncauseway teardown {cluster}{forget} --dry-run"
        )
    } else {
        format!("causeway teardown {cluster}{forget} --plan {} --wait", plan.digest)
    };
    sheet(plan, style).section("Next", &next).finish()
}

/// What would be undone, in the order of undo.
pub(crate) fn undoing(plan: &Plan, style: Style) -> String {
    sheet(plan, style).finish()
}

fn sheet(plan: &Plan, style: Style) -> Sheet {
    let shown =
        |step: &&PlannedStep| step.state() != Outlook::NothingToUndo || !step.changes.is_empty();
    let steps: String = plan.steps.iter().filter(shown).map(|one| step(one, style)).collect();
    Sheet::default()
        .line(&paint(&headline(plan), BOLD, style))
        .section("Findings", &findings(plan, style))
        .section("Undone in this order", &steps)
        .section("Pivot", "the first undo: from there on it goes on, or waits for help")
}

/// `13 to undo, 1 stays, 0 could not be looked at`
fn headline(plan: &Plan) -> String {
    let count = |states: &[Outlook]| {
        plan.steps.iter().filter(|step| states.contains(&step.state())).count()
    };
    format!(
        "{} to undo, {} to stay, {} could not be looked at",
        count(&[Outlook::Undo, Outlook::KnownAfter]),
        count(&[Outlook::Keeps]),
        count(&[Outlook::Unread, Outlook::Fails])
    )
}

fn step(step: &PlannedStep, style: Style) -> String {
    let (mark, colour) = match step.state() {
        Outlook::Undo | Outlook::KnownAfter => ("-", RED),
        Outlook::Keeps | Outlook::NothingToUndo => ("=", YELLOW),
        _ => ("?", RED),
    };
    let name = paint(&step.name, BOLD, style);
    let mut text = format!("{} {name}  {}\n", paint(mark, colour, style), step.summary);
    if !step.note.is_empty() && !step.summary.contains(&step.note) {
        text.push_str(&format!("    {}\n", paint(&step.note, YELLOW, style)));
    }
    text
}

/// What has become of a cluster since it was built, and what to type next.
pub(crate) fn verified(found: &HybridClusterVerification, style: Style) -> String {
    let name = found.name.strip_prefix("hybridClusters/").unwrap_or(&found.name);
    let steps = found.steps.len();
    let headline = match (found.drifts, found.unread) {
        (0, 0) => format!("{name} is as it was built: {steps} steps hold"),
        (drifts, 0) => format!("{drifts} of {steps} steps of {name} have drifted"),
        (drifts, unread) => format!(
            "{drifts} of {steps} steps of {name} have drifted, {unread} could not be looked at"
        ),
    };
    let colour = if found.drifts + found.unread > 0 { YELLOW } else { GREEN };
    let told = |step: &&VerifiedStep| step.state() != Held::Holds;
    let drifts: String = found.steps.iter().filter(told).map(|one| drift(one, style)).collect();
    let mut warnings = String::new();
    for warning in found.steps.iter().flat_map(|step| &step.warnings) {
        let word = paint("warning", YELLOW, style);
        warnings.push_str(&format!("{word} {}: {}\n", warning.code, warning.message));
        if !warning.remedy.is_empty() {
            warnings.push_str(&format!("  → {}\n", warning.remedy));
        }
    }
    Sheet::default()
        .line(&paint(&headline, colour, style))
        .section("Drift", &drifts)
        .section("Warnings", &warnings)
        .finish()
}

fn drift(step: &VerifiedStep, style: Style) -> String {
    let mark = if step.state() == Held::Drifted { "~" } else { "?" };
    let failure = step.failure.clone().unwrap_or_default();
    let (mark, name) = (paint(mark, YELLOW, style), paint(&step.name, BOLD, style));
    let mut text = format!("{mark} {name}  {}\n", failure.message);
    for finding in &failure.findings {
        text.push_str(&format!("    {} {}: {}\n", finding.code, finding.subject, finding.message));
    }
    for change in step.changes.iter().filter(|change| !change.diff.is_empty()) {
        text.push_str("    to be as it was built:\n");
        text.push_str(&difference(change, step.changes.len() > 1, style));
    }
    text
}

#[cfg(test)]
mod tests {
    use causeway_proto::v1::planned_change::Action;
    use causeway_proto::v1::{Failure, PlannedChange};

    use super::*;

    const PLAIN: Style = Style { color: false, wide: false };

    fn planned_step(name: &str, state: Outlook, summary: &str, note: &str) -> PlannedStep {
        PlannedStep {
            name: name.to_owned(),
            state: state.into(),
            summary: summary.to_owned(),
            note: note.to_owned(),
            ..PlannedStep::default()
        }
    }

    #[test]
    fn a_teardown_is_shown_in_the_order_of_undo_with_what_stays() {
        let plan = Plan {
            digest: "plan-1".to_owned(),
            steps: vec![
                planned_step("verify-cni", Outlook::NothingToUndo, "nothing to undo", ""),
                planned_step("scale-out[burst]", Outlook::Undo, "removes instance i-1", ""),
                planned_step("fence-calico", Outlook::Keeps, "stays: in_use", "in_use"),
            ],
            ..Plan::default()
        };
        let expected = "\
1 to undo, 1 to stay, 0 could not be looked at

Undone in this order
  - scale-out[burst]  removes instance i-1
  = fence-calico  stays: in_use

Pivot
  the first undo: from there on it goes on, or waits for help

Next
  causeway teardown dc1 --plan plan-1 --wait
";
        let text = planned(&plan, "dc1", false, PLAIN);
        assert_eq!(text, expected, "got:\n{text}");
        assert!(!planned(&Plan::default(), "dc1", false, PLAIN).contains("--plan"));
    }

    #[test]
    fn drift_is_shown_with_what_would_mend_it() {
        let change = PlannedChange {
            kind: "configmap".to_owned(),
            identity: "kube-system/eni-config".to_owned(),
            action: Action::Modify.into(),
            diff: "- a: 1\n+ a: 2\n".to_owned(),
        };
        let drifted = VerifiedStep {
            name: "configure-eni".to_owned(),
            state: Held::Drifted.into(),
            failure: Some(Failure { message: "it is another".to_owned(), ..Failure::default() }),
            changes: vec![change],
            ..VerifiedStep::default()
        };
        let found = HybridClusterVerification {
            name: "hybridClusters/dc1".to_owned(),
            steps: vec![drifted],
            drifts: 1,
            ..HybridClusterVerification::default()
        };
        let text = verified(&found, PLAIN);
        for told in ["1 of 1 steps of dc1 have drifted", "~ configure-eni  it is another", "+ a: 2"]
        {
            assert!(text.contains(told), "{told}:\n{text}");
        }
        let sound = HybridClusterVerification { steps: Vec::new(), drifts: 0, ..found };
        assert!(verified(&sound, PLAIN).starts_with("dc1 is as it was built"));
    }
}
