//! Searches bytes for secrets in every form that programs write them in. It knows no place where a secret could be.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Bytes from one place, with its name.
pub struct Place {
    /// Where they come from.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Place {
    /// Text from a place.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), bytes: text.into().into_bytes() }
    }
}

/// The shortest form that is searched for: shorter ones would be found by chance.
const FORM_BYTES_MIN: usize = 8;

/// All forms of a secret: raw, hex, base64 at each of its three alignments in both alphabets, URL- and JSON-escaped (also within
/// JSON), and as a list of byte values.
#[must_use]
pub fn forms(secret: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = secret.as_bytes();
    let json = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let list =
        |separator: &str| bytes.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator);
    let mut forms = BTreeMap::from([
        ("raw".to_owned(), secret.to_owned()),
        ("hex".to_owned(), hex::encode(bytes)),
        ("HEX".to_owned(), hex::encode_upper(bytes)),
        ("url".to_owned(), percent.clone()),
        ("url, small digits".to_owned(), lower_escapes(&percent)),
        ("json".to_owned(), json(secret)),
        ("json in json".to_owned(), json(&json(secret))),
        ("byte values".to_owned(), list(",")),
        ("byte values, apart".to_owned(), list(", ")),
    ]);
    for shift in 0..3 {
        // What stands before and behind the secret reaches into the characters at its ends: those are left off.
        let shifted = [vec![0; shift], bytes.to_vec()].concat();
        let (from, to) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        for (name, engine) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
            forms
                .insert(format!("{name} at {shift}"), engine.encode(&shifted)[from..to].to_owned());
        }
    }
    forms.into_iter().map(|(name, form)| (name, form.into_bytes())).collect()
}

fn lower_escapes(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (code, rest) = part.split_at(2);
        format!("{text}%{}{rest}", code.to_lowercase())
    })
}

/// All forms of many secrets, ready to be searched for.
pub struct Search {
    /// By their first bytes.
    forms: HashMap<[u8; FORM_BYTES_MIN], Vec<Form>>,
    /// Which pairs of first bytes there are: most places in a haystack end here.
    begins: Vec<bool>,
}

struct Form {
    bytes: Vec<u8>,
    /// Which secret and which form: never the secret itself.
    name: String,
}

impl Search {
    /// A search for secrets, each with a name for the report.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut search = Self { forms: HashMap::new(), begins: vec![false; 1 << 16] };
        for (name, secret) in secrets {
            for (kind, bytes) in forms(secret) {
                let begin: [u8; FORM_BYTES_MIN] = bytes[..FORM_BYTES_MIN].try_into().unwrap();
                search.begins[usize::from(u16::from_be_bytes([begin[0], begin[1]]))] = true;
                let form = Form { bytes, name: format!("{name} ({kind})") };
                search.forms.entry(begin).or_default().push(form);
            }
        }
        search
    }

    /// Everything that is found, as `PLACE at OFFSET: SECRET (FORM)`.
    #[must_use]
    pub fn find(&self, place: &Place) -> Vec<String> {
        let mut found = Vec::new();
        for (offset, window) in place.bytes.windows(FORM_BYTES_MIN).enumerate() {
            if !self.begins[usize::from(window[0]) << 8 | usize::from(window[1])] {
                continue;
            }
            for form in self.forms.get(window).into_iter().flatten() {
                if place.bytes[offset..].starts_with(&form.bytes) {
                    found.push(format!("{} at {offset}: {}", place.name, form.name));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a/B+c%\"d\\e=1234567";

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let search = Search::new([("it", SECRET)]);
        for (name, form) in forms(SECRET) {
            let bytes = [b"before ".to_vec(), form, b" after".to_vec()].concat();
            let found = search.find(&Place { name: "here".into(), bytes });
            assert!(found.iter().any(|it| it.contains(&format!("({name})"))), "{name}: {found:?}");
        }
    }

    #[test]
    fn base64_of_a_text_that_holds_it_is_found_at_every_alignment() {
        let search = Search::new([("it", SECRET)]);
        for before in ["", "x", "xy", "xyz"] {
            for engine in [&STANDARD, &URL_SAFE] {
                let text = engine.encode(format!("{before}{SECRET} and more"));
                assert!(!search.find(&Place::text("here", text)).is_empty(), "after {before:?}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_not_found() {
        let search = Search::new([("it", SECRET)]);
        let almost = SECRET.replace('7', "8");
        let place = Place::text("here", format!("{almost} {}", STANDARD.encode(&almost)));
        assert_eq!(search.find(&place), [] as [String; 0]);
    }
}
