//! `causeway plan`: what a start would do, found out without doing it.

use causeway_proto::v1::Plan;
use causeway_proto::v1::finding::Severity;
use clap::Args;

use super::CommandError;
use crate::cli::input::File;
use crate::cli::render;
use crate::cli::{Exit, Session};
use crate::plan::plan_of;

/// What to plan.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    file: File,
    /// Exit with 11 where something would change
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(crate) async fn run(
    session: &mut Session<'_>,
    arguments: &Arguments,
) -> Result<Exit, CommandError> {
    let request = plan_of(arguments.file.read()?);
    let plan = session.client()?.plan(request).await?;
    let file = arguments.file.shown();
    let name = plan.digest.clone();
    session.print_one(&plan, &name, |style| render::plan::plan(&plan, &file, style))?;
    Ok(exit_of(&plan, arguments.detailed_exitcode))
}

/// A plan that says that the start would not succeed is no success, and neither is one that could not see everything.
fn exit_of(plan: &Plan, detailed: bool) -> Exit {
    let error = plan.findings.iter().any(|finding| finding.severity() == Severity::Error);
    if plan.digest.is_empty() {
        Exit::Other
    } else if error || plan.conflicts > 0 {
        Exit::Input
    } else if detailed && plan.changes > 0 {
        Exit::Differences
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use causeway_proto::v1::Finding;

    use super::*;

    #[test]
    fn the_exit_code_says_what_a_start_would_come_to() {
        let plan = |changes, conflicts, severity: Option<Severity>, digest: &str| Plan {
            changes,
            conflicts,
            findings: severity
                .map(|severity| Finding { severity: severity.into(), ..Finding::default() })
                .into_iter()
                .collect(),
            digest: digest.to_owned(),
            ..Plan::default()
        };
        for (plan, plain, detailed) in [
            (plan(0, 0, None, "d"), 0, 0),
            (plan(3, 0, None, "d"), 0, 11),
            (plan(3, 0, Some(Severity::Warning), "d"), 0, 11),
            (plan(3, 0, Some(Severity::Error), "d"), 2, 2),
            (plan(3, 1, None, "d"), 2, 2),
            (plan(3, 0, Some(Severity::Error), ""), 1, 1),
        ] {
            assert_eq!(exit_of(&plan, false) as u8, plain, "{plan:?}");
            assert_eq!(exit_of(&plan, true) as u8, detailed, "{plan:?}");
        }
    }
}
