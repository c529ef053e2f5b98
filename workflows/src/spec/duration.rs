//! Durations as people and the proto mapping write them: `9000s`, `1.5s`, `2h30m`. Knows no limits.

use std::time::Duration;

/// Reads `2h30m`, `90m`, `9000s` or `1.5s`; units are `d`, `h`, `m` and `s`, each once, from large to small.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    const UNITS: [(char, f64); 4] = [('d', 86_400.0), ('h', 3_600.0), ('m', 60.0), ('s', 1.0)];
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let letter = tail.chars().next()?;
        let (_, factor) = units.find(|(unit, _)| *unit == letter)?;
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        seconds += number.parse::<f64>().ok()? * factor;
        rest = &tail[letter.len_utf8()..];
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

/// The canonical form: seconds, with a fraction where there is one.
pub(crate) fn canonical(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_are_read() {
        for (text, seconds) in [
            ("9000s", 9000.0),
            ("2h30m", 9000.0),
            ("1.5s", 1.5),
            ("1d", 86_400.0),
            ("0s", 0.0),
            ("1h1s", 3601.0),
        ] {
            assert_eq!(parse(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "-5s",
            "5x",
            "5s5m",
            "1m1m",
            "1e3s",
            "5 s",
            ".5s",
            "99999999999999999999999d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_canonical_form_is_in_seconds() {
        assert_eq!(canonical(Duration::from_secs(9000)), "9000s");
        assert_eq!(canonical(Duration::from_millis(1500)), "1.5s");
    }
}
