//! Codes, with what they mean and what to do.

use causeway_proto::codes::Code;

use super::super::output::{Style, text};
use super::Sheet;

/// A table of codes.
pub(crate) fn list(codes: &[&Code], style: Style) -> String {
    let mut headings = vec!["CODE", "KIND", "CLASS", "MEANING"];
    if style.wide {
        headings.push("WHAT TO DO");
    }
    let mut table = style.table(&headings);
    for code in codes {
        let mut row = vec![code.code, code.kind.as_str(), code.class.as_str(), code.meaning];
        if style.wide {
            row.push(code.advice);
        }
        table.add_row(row);
    }
    text(&table)
}

/// All that is known of one code, which may be said by more than one.
pub(crate) fn explain(asked: &str, codes: &[&Code]) -> String {
    let one = |code: &&Code| {
        let title = if code.code.eq_ignore_ascii_case(asked) {
            code.code.to_owned()
        } else {
            format!("{asked} ({})", code.code)
        };
        Sheet::default()
            .line(&format!("{title}: {}", code.kind.words()))
            .fields(&[
                ("  Class", code.class.as_str().to_owned()),
                ("  Means", code.meaning.to_owned()),
                ("  Do", code.advice.to_owned()),
            ])
            .finish()
    };
    codes.iter().map(one).collect::<Vec<_>>().join("\n")
}
