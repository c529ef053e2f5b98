//! Results as text for people.

pub(super) mod cluster;
pub(super) mod code;
pub(super) mod plan;
pub(super) mod server;
pub(super) mod step;
pub(super) mod stuck;
pub(super) mod teardown;
pub(super) mod time;
pub(super) mod workflow;

/// Text that is put together from top to bottom.
#[derive(Debug, Default)]
struct Sheet(String);

impl Sheet {
    /// One line.
    fn line(mut self, text: &str) -> Self {
        self.0.push_str(text);
        self.0.push('\n');
        self
    }

    /// Names and values in two columns; what has no value is left out.
    fn fields(self, fields: &[(&str, String)]) -> Self {
        let said = || fields.iter().filter(|(_, value)| !value.is_empty());
        let width = said().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
        said().fold(self, |sheet, (name, value)| {
            sheet.line(&format!("{:<width$}  {value}", format!("{name}:")))
        })
    }

    /// A title, and below it an indented text; nothing where the text is empty.
    fn section(self, title: &str, text: &str) -> Self {
        if text.is_empty() {
            return self;
        }
        let sheet = if self.0.is_empty() { self } else { self.line("") };
        let indented = |sheet: Self, line: &str| sheet.line(format!("  {line}").trim_end());
        text.lines().fold(sheet.line(title), indented)
    }

    /// A text as it is, after an empty line; nothing where it is empty.
    fn paragraph(self, text: &str) -> Self {
        if text.is_empty() {
            return self;
        }
        let sheet = if self.0.is_empty() { self } else { self.line("") };
        sheet.line(text.trim_end())
    }

    fn finish(self) -> String {
        self.0
    }
}
