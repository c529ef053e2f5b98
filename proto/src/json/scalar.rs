//! Scalars and well-known types: what is taken, what is written, and what is said about the rest.

use std::time::Duration;

use prost_reflect::{EnumDescriptor, EnumValueDescriptor, Kind, Value};
use serde_json::Value as Json;

use super::shown;

/// Longest duration of protobuf, in seconds: about 10,000 years.
const DURATION_SECONDS_MAX: u64 = 315_576_000_000;

/// Reads a duration: `2h30m`, `90s`, `1.5s`, `1d`.
///
/// # Errors
/// What is wrong with it, without its place.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let seconds =
        text.strip_suffix('s').filter(|number| number.contains('.')).map(str::parse::<f64>);
    let duration = match seconds {
        Some(Ok(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
        _ => humantime::parse_duration(text).ok(),
    };
    match duration {
        Some(duration) if duration.as_secs() <= DURATION_SECONDS_MAX => Ok(duration),
        Some(_) => Err(format!("the duration {} is too long", shown(text))),
        None => {
            Err(format!("expected a duration such as 30s, 90m or 2h30m, found {}", shown(text)))
        }
    }
}

/// Writes a duration as protobuf does: `9000s`, `1.500s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.subsec_nanos();
    let seconds = duration.as_secs();
    match nanos {
        0 => format!("{seconds}s"),
        n if n % 1_000_000 == 0 => format!("{seconds}.{:03}s", n / 1_000_000),
        n if n % 1_000 == 0 => format!("{seconds}.{:06}s", n / 1_000),
        n => format!("{seconds}.{n:09}s"),
    }
}

/// Reads a scalar of the given kind.
pub(super) fn scalar(kind: &Kind, json: &Json) -> Result<Value, String> {
    match kind {
        Kind::String => match json {
            Json::String(text) => Ok(Value::String(text.clone())),
            Json::Number(number) => {
                Err(format!("expected a string, found the number {number}; put it in quotes"))
            }
            Json::Bool(bool) => Err(format!("expected a string, found {bool}; put it in quotes")),
            other => Err(unexpected("a string", other)),
        },
        Kind::Bool => match json {
            Json::Bool(bool) => Ok(Value::Bool(*bool)),
            other => Err(unexpected("true or false", other)),
        },
        Kind::Uint32 | Kind::Fixed32 => integer(json, "0 to 4294967295").map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => integer(json, "from 0").map(Value::U64),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            integer(json, "-2147483648 to 2147483647").map(Value::I32)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => integer(json, "of 64 bits").map(Value::I64),
        Kind::Enum(kind) => enumeration(kind, json).map(|value| Value::EnumNumber(value.number())),
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) => {
            Err(format!("a value of this kind can't be given here ({kind:?})"))
        }
    }
}

/// Whole numbers, also as strings: proto3 JSON writes 64-bit numbers so.
fn integer<N: TryFrom<i128>>(json: &Json, range: &str) -> Result<N, String> {
    let parsed = match json {
        Json::Number(number) if !number.is_f64() => {
            number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
        }
        Json::String(text) => text.parse::<i128>().ok(),
        Json::Number(number) => {
            return Err(format!("expected a whole number {range}, found {number}"));
        }
        other => return Err(unexpected(&format!("a whole number {range}"), other)),
    };
    parsed.and_then(|number| N::try_from(number).ok()).ok_or_else(|| {
        format!(
            "expected a whole number {range}, found {}",
            json.as_str().map_or_else(|| json.to_string(), shown)
        )
    })
}

fn enumeration(kind: &EnumDescriptor, json: &Json) -> Result<EnumValueDescriptor, String> {
    let names: Vec<_> =
        kind.values().filter(|v| v.number() != 0).map(|v| v.name().to_owned()).collect();
    let expected = format!("one of {}", names.join(", "));
    let Json::String(text) = json else { return Err(unexpected(&expected, json)) };
    let wanted = text.to_ascii_uppercase().replace('-', "_");
    kind.values().find(|value| value.name() == wanted).ok_or_else(|| {
        match closest(&wanted, names.iter().map(String::as_str)) {
            Some(best) => {
                format!("unknown value {}; did you mean {best}? ({expected})", shown(text))
            }
            None => format!("unknown value {}; expected {expected}", shown(text)),
        }
    })
}

/// `expected X, found Y`.
pub(super) fn unexpected(expected: &str, found: &Json) -> String {
    let found = match found {
        Json::Null => "nothing".to_owned(),
        Json::Bool(_) | Json::Number(_) => found.to_string(),
        Json::String(_) => "a string".to_owned(),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "a mapping".to_owned(),
    };
    format!("expected {expected}, found {found}")
}

/// The candidate that was probably meant, if any is near.
pub(super) fn closest<'a>(
    text: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| {
            // One slip of the finger always counts, however short the word is.
            let slip = strsim::damerau_levenshtein(text, candidate) == 1;
            (if slip { 1.0 } else { strsim::jaro_winkler(text, candidate) }, candidate)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_taken_in_both_spellings() {
        for (text, seconds) in [
            ("2h30m", 9000.0),
            ("9000s", 9000.0),
            ("1.5s", 1.5),
            ("1d", 86400.0),
            ("250ms", 0.25),
            ("0s", 0.0),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_secs_f64(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "-1s", "1h30", "abc", "1e400.0s", "NaN.s", "400000000000s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_seconds() {
        for (nanos, text) in [
            (9_000_000_000_000, "9000s"),
            (1_500_000_000, "1.500s"),
            (1_000, "0.000001s"),
            (1, "0.000000001s"),
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(format_duration(duration), text);
            assert_eq!(parse_duration(text).unwrap(), duration);
        }
    }
}
