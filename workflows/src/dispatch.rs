//! Runs one operation of one step, and turns what the step says into what the engine is told.

use causeway_engine::event::Undone;
use causeway_engine::input::{Operation, OperationKind};
use causeway_engine::{Failure, Finding, StepOutcome};
use serde_json::{Value, json};

use crate::definition::{Template, Work};
use crate::sdk::{Action, Check, Checked, Confirm, Context, Observed, Revert, value};
use crate::timing::millis;

/// Runs `operation` of a step of `template`. Never fails: a failure is an outcome.
pub async fn run(template: &Template, operation: &Operation, context: &Context) -> StepOutcome {
    let result = match &template.work {
        Work::Check(check) => run_check(check.as_ref(), operation.kind, context).await,
        Work::Action(action) => run_action(action.as_ref(), operation.kind, context).await,
        Work::Gate => Err(unfit(context, operation.kind)),
    };
    result.unwrap_or_else(StepOutcome::Failed)
}

async fn run_check(
    check: &dyn Check,
    kind: OperationKind,
    context: &Context,
) -> Result<StepOutcome, Failure> {
    if kind != OperationKind::Check {
        return Err(unfit(context, kind));
    }
    Ok(match check.check(context).await? {
        Checked::Passed { output, warnings } => StepOutcome::Passed { output, warnings },
        Checked::NotYet(message) => not_yet(context, message),
    })
}

async fn run_action(
    action: &dyn Action,
    kind: OperationKind,
    context: &Context,
) -> Result<StepOutcome, Failure> {
    Ok(match kind {
        OperationKind::Check => return Err(unfit(context, kind)),
        OperationKind::Observe => {
            let observed = action.observe(context).await?;
            StepOutcome::Observed {
                before: observed.before,
                verdict: observed.verdict,
                claim: observed.claim,
                output: observed.output,
                warnings: observed.warnings,
            }
        }
        OperationKind::Apply => {
            let output = action.apply(context).await?;
            let confirmed = action.holds_at_once().then(|| output.clone());
            StepOutcome::Applied { output, confirmed }
        }
        OperationKind::Confirm => match action.confirm(context).await? {
            Confirm::Holds(output) => StepOutcome::Confirmed { output },
            Confirm::NotYet(message) => not_yet(context, message),
        },
        OperationKind::Resolve => {
            let (resolution, output) = action.resolve(context).await?;
            StepOutcome::Resolved { resolution, output }
        }
        OperationKind::Decide => {
            let decision = action.decide_group(context).await?;
            StepOutcome::Decided { keep: decision.keep, evidence: decision.evidence }
        }
        OperationKind::Revert => match revert(action, context).await? {
            Revert::Done(undone) => StepOutcome::Reverted(undone),
            Revert::NotYet(message) => not_yet(context, message),
        },
        OperationKind::VerifyGone => StepOutcome::Gone(action.verify_gone(context).await?),
    })
}

/// What of a look at the world must be the same at the start as it was in the plan; none for outcomes that are no look.
/// Sealed references in it still stand for their plaintext.
#[must_use]
pub fn evidence(template: &Template, context: &Context, outcome: &StepOutcome) -> Option<Value> {
    let said = |warnings: &[Finding]| -> Vec<Value> {
        // Messages may count things that change by themselves; what is said about what does not.
        warnings.iter().map(|finding| json!([finding.code, finding.subject])).collect()
    };
    match (outcome, &template.work) {
        (StepOutcome::Passed { output, warnings }, Work::Check(_)) => {
            Some(json!({"passed": output, "said": said(warnings)}))
        }
        (
            StepOutcome::Observed { before, verdict, claim, output, warnings },
            Work::Action(action),
        ) => {
            let observed = Observed {
                before: before.clone(),
                verdict: *verdict,
                output: output.clone(),
                claim: claim.clone(),
                warnings: warnings.clone(),
            };
            let seen = action.evidence(context, &observed);
            Some(json!({"verdict": value(verdict), "seen": seen, "said": said(warnings)}))
        }
        (StepOutcome::Failed(failure), _) => {
            Some(json!({"failed": failure.code, "said": said(&failure.findings)}))
        }
        _ => None,
    }
}

/// Reverts; what others claim as well stays as it is, and goes with the last of them.
pub(crate) async fn revert(action: &dyn Action, context: &Context) -> Result<Revert, Failure> {
    if let Some(row) = context.claim.as_ref().filter(|row| !row.others.is_empty()) {
        let reason = format!("shared: {} is relied on by {}", row.claim.key, row.others.join(", "));
        return Ok(Revert::Done(Undone::Kept { reason, in_use: false }));
    }
    action.revert(context).await
}

fn not_yet(context: &Context, message: String) -> StepOutcome {
    StepOutcome::NotYet { until: (context.now)().plus_ms(millis(context.timing.poll)), message }
}

fn unfit(context: &Context, kind: OperationKind) -> Failure {
    Failure::permanent(format!(
        "step {} has no operation {kind:?}: the definition has changed",
        context.step
    ))
    .with_code("DEFINITION_UNKNOWN")
}
