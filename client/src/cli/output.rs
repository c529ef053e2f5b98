//! Results in the form that was asked for: tables for people, the one mapping of the contract for everything else.

use causeway_proto::json;
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use prost::{Message, Name};
use serde_json::Value;

use super::Session;
use super::commands::CommandError;

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns
    #[default]
    Table,
    /// More columns
    Wide,
    /// One JSON document
    Json,
    /// One JSON document per line and item
    Jsonl,
    /// One YAML document
    Yaml,
    /// Resource names only
    Name,
}

impl Format {
    /// Whether it is for people.
    #[must_use]
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// What is never wrong with our own messages: they have string keys and finite depth.
const SERIALIZABLE: &str = "messages of the contract can be written as JSON and YAML";

impl Session<'_> {
    /// Prints one result. `table` is asked for the text for people.
    pub(super) fn print_one<M: Message + Name>(
        &mut self,
        message: &M,
        name: &str,
        table: impl FnOnce(Style) -> String,
    ) -> Result<(), CommandError> {
        let text = match self.format {
            Format::Table | Format::Wide => table(self.style()),
            Format::Json => {
                serde_json::to_string_pretty(&json::ordered(message)).expect(SERIALIZABLE)
            }
            Format::Jsonl => serde_json::to_string(&json::ordered(message)).expect(SERIALIZABLE),
            Format::Yaml => serde_saphyr::to_string(&json::ordered(message)).expect(SERIALIZABLE),
            Format::Name => name.to_owned(),
        };
        Ok(self.console.print(&text)?)
    }

    /// Prints something that is no message of the contract.
    pub(super) fn print_document(
        &mut self,
        document: &Value,
        name: &str,
        table: impl FnOnce(Style) -> String,
    ) -> Result<(), CommandError> {
        let text = match self.format {
            Format::Table | Format::Wide => table(self.style()),
            Format::Json => serde_json::to_string_pretty(document).expect(SERIALIZABLE),
            Format::Jsonl => document.to_string(),
            Format::Yaml => serde_saphyr::to_string(document).expect(SERIALIZABLE),
            Format::Name => name.to_owned(),
        };
        Ok(self.console.print(&text)?)
    }

    /// Prints many things that are no messages of the contract, each with its name.
    pub(super) fn print_documents(
        &mut self,
        documents: &[(String, Value)],
        table: impl FnOnce(Style) -> String,
    ) -> Result<(), CommandError> {
        let all = || Value::Array(documents.iter().map(|(_, document)| document.clone()).collect());
        let lines = |of: fn(&(String, Value)) -> String| {
            documents.iter().map(of).collect::<Vec<_>>().join("\n")
        };
        let text = match self.format {
            Format::Table | Format::Wide => table(self.style()),
            Format::Json => serde_json::to_string_pretty(&all()).expect(SERIALIZABLE),
            Format::Yaml => serde_saphyr::to_string(&all()).expect(SERIALIZABLE),
            Format::Jsonl => lines(|(_, document)| document.to_string()),
            Format::Name => lines(|(name, _)| name.clone()),
        };
        if text.is_empty() { Ok(()) } else { Ok(self.console.print(&text)?) }
    }

    /// Prints many results: as a table, as a list, or one per line.
    pub(super) fn print_many<M: Message + Name>(
        &mut self,
        messages: &[M],
        name: impl Fn(&M) -> String,
        table: impl FnOnce(Style) -> String,
    ) -> Result<(), CommandError> {
        let ordered = || messages.iter().map(json::ordered).collect::<Vec<_>>();
        let text = match self.format {
            Format::Table | Format::Wide => table(self.style()),
            Format::Json => serde_json::to_string_pretty(&ordered()).expect(SERIALIZABLE),
            Format::Yaml => serde_saphyr::to_string(&ordered()).expect(SERIALIZABLE),
            Format::Jsonl => {
                let line = |message| serde_json::to_string(&message).expect(SERIALIZABLE);
                ordered().into_iter().map(line).collect::<Vec<_>>().join("\n")
            }
            Format::Name => messages.iter().map(name).collect::<Vec<_>>().join("\n"),
        };
        // Nothing prints as nothing where lines are expected.
        if text.is_empty() { Ok(()) } else { Ok(self.console.print(&text)?) }
    }

    fn style(&self) -> Style {
        Style { color: self.console.color, wide: self.format == Format::Wide }
    }
}

/// How text for people looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colours may be used.
    pub color: bool,
    /// There is room for more.
    pub wide: bool,
}

impl Style {
    /// A table with these headings; nothing but columns.
    pub(super) fn table(self, headings: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if self.color {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        table.set_header(headings.iter().copied());
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table
    }

    /// A state, in the colour of what it means.
    pub(super) fn state(self, state: &str) -> Cell {
        let color = match state {
            "SUCCEEDED" | "PASSED" | "CONFIRMED" | "APPROVED" => Color::Green,
            "STUCK" | "QUARANTINED" | "ABANDONED" | "FAILED" | "UNDO_FAILED" | "REJECTED" => {
                Color::Red
            }
            "COMPENSATING" | "COMPENSATED" | "PAUSED" | "AWAITING_APPROVAL" | "RETRY_WAIT"
            | "HELD" | "UNDO_RETRY_WAIT" | "UNRESOLVED" | "UNDOING" => Color::Yellow,
            _ => return Cell::new(state),
        };
        if self.color { Cell::new(state).fg(color) } else { Cell::new(state) }
    }
}

/// A table as text, without the spaces at the ends of its lines.
pub(super) fn text(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
