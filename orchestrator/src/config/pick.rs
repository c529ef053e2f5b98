//! Takes one value after the other from the strongest source that has it, and remembers which that was.

use std::{ffi::OsString, fmt::Display, time::Duration};

use super::{Origin, Problem, Setting};

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Collects settings and problems while values are picked.
pub(super) struct Picker<'a> {
    environment: Environment<'a>,
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Picker<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Self { environment, settings: Vec::new(), problems: Vec::new() }
    }

    /// Says that the value of `key` can't be.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem { key: key.to_owned(), message: message.into() });
    }

    /// Notes a value that has been picked already.
    pub(super) fn note(&mut self, key: &str, value: impl Display, origin: Origin) {
        self.settings.push(Setting { key: key.to_owned(), value: value.to_string(), origin });
    }

    /// A variable's text; one that is no Unicode is a problem.
    pub(super) fn variable(&mut self, name: &'static str) -> Option<String> {
        match (self.environment)(name)?.into_string() {
            Ok(text) => Some(text),
            Err(_) => {
                self.problem(name, "the environment variable is not valid Unicode");
                None
            }
        }
    }

    /// A text that may come from a flag, a variable, the file, or be the default.
    pub(super) fn text(&mut self, key: &str, sources: Sources, default: &str) -> String {
        let from_flag = sources.flag.map(|(name, value)| (value, Origin::Flag(name)));
        let from_variable = || {
            sources
                .variable
                .and_then(|name| Some((self.variable(name)?, Origin::Environment(name))))
        };
        let picked = from_flag
            .or_else(from_variable)
            .or_else(|| sources.file.map(|value| (value, Origin::File)));
        let (value, origin) = picked.unwrap_or_else(|| (default.to_owned(), Origin::Default));
        self.note(key, quoted(&value), origin);
        value
    }

    /// A value that comes from the file or is the default.
    pub(super) fn value<T: Display>(&mut self, key: &str, file: Option<T>, default: T) -> T {
        let origin = if file.is_some() { Origin::File } else { Origin::Default };
        let value = file.unwrap_or(default);
        self.note(key, &value, origin);
        value
    }

    /// A duration from the file, such as `5s`, or the default.
    pub(super) fn duration(
        &mut self,
        key: &str,
        file: Option<String>,
        default: Duration,
    ) -> Duration {
        let origin = if file.is_some() { Origin::File } else { Origin::Default };
        let value = match file.as_deref().map(humantime::parse_duration) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                self.problem(key, format!("is no duration such as 5s or 2m: {error}"));
                default
            }
        };
        self.note(key, quoted(&humantime::format_duration(value).to_string()), origin);
        value
    }
}

/// Where a text may come from, strongest first.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) flag: Option<(&'static str, String)>,
    pub(super) variable: Option<&'static str>,
    pub(super) file: Option<String>,
}

/// As it would stand in the file.
pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// A list as it would stand in the file.
pub(super) fn quoted_list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}
