//! A line of a picture: pieces with colours, and a width that it must not exceed.

use console::{measure_text_width, truncate_str};

/// What a piece of text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// As any text.
    Plain,
    /// Is what it is about.
    Strong,
    /// Is less than the rest.
    Faint,
    /// Is as it should be.
    Good,
    /// Moves.
    Moves,
    /// Waits.
    Waits,
    /// Went wrong.
    Bad,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Moves => "36",
            Self::Waits => "33",
            Self::Bad => "31",
        }
    }
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(String, Paint)>);

impl Line {
    /// The same with a piece after it.
    pub(super) fn with(mut self, text: impl Into<String>, paint: Paint) -> Self {
        // What comes from elsewhere may hold anything; a line is one line.
        let text: String =
            text.into().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if !text.is_empty() {
            self.0.push((text, paint));
        }
        self
    }

    /// The same, and blanks up to a column.
    pub(super) fn up_to(self, column: usize) -> Self {
        let gap = column.saturating_sub(self.width());
        self.with(" ".repeat(gap), Paint::Plain)
    }

    /// In columns of a terminal.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(text, _)| measure_text_width(text)).sum()
    }

    /// Cut to a width, with a sign that it was.
    pub(super) fn fit(self, width: usize) -> Self {
        let mut left = width;
        let whole = self.width() <= width;
        let mut line = Self::default();
        for (text, paint) in self.0 {
            let wide = measure_text_width(&text);
            // Where the whole does not fit, a column is kept for the sign.
            if whole || wide < left {
                left -= wide;
                line = line.with(text, paint);
            } else {
                return line.with(truncate_str(&text, left, "…").trim_end().to_owned(), paint);
            }
        }
        line
    }

    /// As it is written.
    pub(super) fn text(&self, color: bool) -> String {
        let mut written = String::new();
        for (text, paint) in &self.0 {
            if color && *paint != Paint::Plain && !text.trim().is_empty() {
                written.push_str(&format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code()));
            } else {
                written.push_str(text);
            }
        }
        written.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_exceeds_its_width_and_says_where_it_was_cut() {
        let line = Line::default().with("name", Paint::Strong).with("  ", Paint::Plain);
        let line = line.with("a longer text\nof two lines", Paint::Bad);
        for (width, text) in [
            (80, "name  a longer text of two lines"),
            (32, "name  a longer text of two lines"),
            (31, "name  a longer text of two lin…"),
            (10, "name  a l…"),
            (5, "name…"),
            (1, "…"),
        ] {
            let fitted = line.clone().fit(width);
            assert_eq!(fitted.text(false), text, "{width}");
            assert!(fitted.width() <= width, "{width}: {}", fitted.width());
        }
        assert!(line.text(true).starts_with("\u{1b}[1mname\u{1b}[0m  \u{1b}[31ma"));
    }
}
