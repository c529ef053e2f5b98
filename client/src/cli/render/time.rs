//! Moments and spans of time as people read them.

use prost_types::Timestamp;

/// The time of this machine: only for showing how long something has taken so far.
pub(crate) fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "a clock on the wall is what a live view shows")]
    let now = std::time::SystemTime::now();
    Timestamp::from(now)
}

/// The time of day, UTC.
pub(crate) fn clock(time: Option<&Timestamp>) -> String {
    // RFC 3339: the time of day stands at fixed places in it.
    let text = time.map(Timestamp::to_string).unwrap_or_default();
    text.get(11..19).unwrap_or("--:--:--").to_owned()
}

/// Day and time, UTC.
pub(crate) fn moment(time: Option<&Timestamp>) -> String {
    let text = time.map(Timestamp::to_string).unwrap_or_default();
    text.get(..19).map(|text| format!("{} UTC", text.replace('T', " "))).unwrap_or_default()
}

/// The time from one moment to another, in at most two units; empty where one is missing.
pub(crate) fn span(from: Option<&Timestamp>, to: Option<&Timestamp>) -> String {
    let (Some(from), Some(to)) = (from, to) else { return String::new() };
    let nanos =
        i128::from(to.seconds - from.seconds) * 1_000_000_000 + i128::from(to.nanos - from.nanos);
    let millis = u64::try_from(nanos / 1_000_000).unwrap_or(0);
    let seconds = millis / 1000;
    match seconds {
        0..10 => format!("{}.{}s", seconds, millis % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, millis: i32) -> Timestamp {
        Timestamp { seconds, nanos: millis * 1_000_000 }
    }

    #[test]
    fn spans_have_at_most_two_units() {
        for (from, to, text) in [
            (at(0, 0), at(0, 0), "0.0s"),
            (at(0, 900), at(2, 200), "1.3s"),
            (at(0, 0), at(59, 999), "59s"),
            (at(0, 0), at(61, 0), "1m01s"),
            (at(0, 0), at(7260, 0), "2h01m"),
            (at(0, 0), at(90_000, 0), "1d01h"),
            (at(5, 0), at(3, 0), "0.0s"),
        ] {
            assert_eq!(span(Some(&from), Some(&to)), text);
        }
        assert_eq!(span(None, Some(&at(0, 0))), "");
    }

    #[test]
    fn moments_are_utc() {
        assert_eq!(moment(Some(&at(1_800_000_000, 5))), "2027-01-15 08:00:00 UTC");
        assert_eq!(clock(Some(&at(1_800_000_000, 5))), "08:00:00");
        assert_eq!((clock(None), moment(None)), ("--:--:--".to_owned(), String::new()));
    }
}
