//! Where a command prints, and whether a person sits in front of it.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

/// Standard output and standard error, or what stands for them in a test.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Standard error is a terminal: progress may be live.
    pub live: bool,
    /// Standard input is a terminal as well: questions may be asked.
    pub interactive: bool,
    /// Standard output is a terminal, and nobody asked for no colour.
    pub color: bool,
    /// The same of standard error.
    pub err_color: bool,
    /// Standard output is a terminal.
    pub out_terminal: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { live, interactive, color, err_color, out_terminal, .. } = self;
        formatter
            .debug_struct("Console")
            .field("live", live)
            .field("interactive", interactive)
            .field("color", color)
            .field("err_color", err_color)
            .field("out_terminal", out_terminal)
            .finish_non_exhaustive()
    }
}

impl Console {
    /// The process's own.
    #[must_use]
    pub fn standard() -> Self {
        let colorless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // A terminal that can't move its cursor gets lines, as a file does.
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let live = io::stderr().is_terminal();
        let out_terminal = io::stdout().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            live: live && !dumb,
            interactive: live && io::stdin().is_terminal(),
            color: out_terminal && !dumb && !colorless,
            err_color: live && !dumb && !colorless,
            out_terminal,
        }
    }

    /// Two writers, no terminal.
    #[must_use]
    pub fn plain(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        let [live, interactive, color, err_color, out_terminal] = [false; 5];
        Self { out, err, live, interactive, color, err_color, out_terminal }
    }

    /// Standard output itself, for what is no text.
    pub(super) fn raw(&mut self) -> &mut (dyn Write + Send) {
        &mut *self.out
    }

    /// Prints a result, with a line end if it has none.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }

    /// Tells a person something, in a line.
    pub fn say(&mut self, text: &str) {
        // Where standard error is closed, nobody wants to know.
        writeln!(self.err, "{text}").ok();
    }

    /// Asks a question that `y` or `yes` agrees to.
    pub fn agrees(&mut self, question: &str) -> bool {
        let answer = self.answer(&format!("{question} [y/N]"));
        matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Asks a question, and takes a line.
    pub fn answer(&mut self, question: &str) -> String {
        write!(self.err, "{question} ").and_then(|()| self.err.flush()).ok();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok();
        answer.trim().to_owned()
    }
}
