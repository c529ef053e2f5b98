//! Values as bytes: an envelope with a version and a checksum over key and body, and the bodies of the rows that the store
//! itself reads. It never panics on what it is given, and never trusts a length.
//!
//! Durable: version 1 is read for ever; another layout gets another version.

use super::error::Error;
use super::keys;

/// The layout of the envelope and of the bodies below.
const VERSION: u8 = 1;
/// Version and CRC-32.
const HEADER: usize = 5;

/// What stands before a body: its version, and a checksum that also covers the key, so that a row under a wrong key is seen.
pub(super) fn wrap(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER + body.len());
    value.push(VERSION);
    value.extend_from_slice(&checksum(key, body).to_le_bytes());
    value.extend_from_slice(body);
    value
}

/// The body of a value, if it is sound.
pub(super) fn unwrap<'v>(key: &[u8], value: &'v [u8]) -> Result<&'v [u8], Error> {
    let corrupt = |why: String| Error::corrupt(keys::describe(key), why);
    let Some((header, body)) = value.split_at_checked(HEADER) else {
        return Err(corrupt(format!("it has {} bytes, fewer than its header", value.len())));
    };
    if header[0] != VERSION {
        return Err(corrupt(format!("its format is {}, this program reads {VERSION}", header[0])));
    }
    let expected = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
    let found = checksum(key, body);
    if expected != found {
        return Err(corrupt(format!("its checksum is {found:08x}, {expected:08x} was written")));
    }
    Ok(body)
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

/// Puts a body together.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn optional_text(self, text: Option<&str>) -> Self {
        match text {
            None => self.number(0),
            Some(text) => self.number(1).text(text),
        }
    }

    pub(super) fn optional_number(self, number: Option<u64>) -> Self {
        match number {
            None => self.number(0),
            Some(number) => self.number(1).number(number),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a body apart.
#[derive(Debug)]
pub(super) struct Reader<'v> {
    key: &'v [u8],
    rest: &'v [u8],
}

impl<'v> Reader<'v> {
    /// Checks the envelope, and stands at the body's first byte.
    pub(super) fn new(key: &'v [u8], value: &'v [u8]) -> Result<Self, Error> {
        Ok(Self { key, rest: unwrap(key, value)? })
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::corrupt(keys::describe(self.key), why)
    }

    pub(super) fn number(&mut self) -> Result<u64, Error> {
        let Some((number, rest)) = self.rest.split_first_chunk::<8>() else {
            return Err(self.corrupt("it ends inside a number"));
        };
        self.rest = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub(super) fn bytes(&mut self) -> Result<&'v [u8], Error> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.corrupt("a length in it reaches past its end"));
        };
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<String, Error> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| self.corrupt("a text in it is not UTF-8"))
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>, Error> {
        if self.number()? == 0 { Ok(None) } else { self.text().map(Some) }
    }

    pub(super) fn optional_number(&mut self) -> Result<Option<u64>, Error> {
        if self.number()? == 0 { Ok(None) } else { self.number().map(Some) }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn end(&self) -> Result<(), Error> {
        if self.is_at_end() { Ok(()) } else { Err(self.corrupt("bytes follow its end")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_wrapped_is_unwrapped(key in prop::collection::vec(any::<u8>(), 1..40), body in prop::collection::vec(any::<u8>(), 0..200)) {
            let value = wrap(&key, &body);
            prop_assert_eq!(unwrap(&key, &value), Ok(&body[..]));
        }

        #[test]
        fn one_changed_byte_is_noticed(body in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut value = wrap(b"hw1", &body);
            let at = at.index(value.len());
            value[at] ^= flip;
            let noticed = matches!(unwrap(b"hw1", &value), Err(Error::Corrupt { .. }));
            prop_assert!(noticed);
        }

        #[test]
        fn reading_garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let value = wrap(b"hw1", &body);
            let mut reader = Reader::new(b"hw1", &value).expect("it was wrapped");
            while reader.bytes().is_ok() {}
            while reader.optional_text().is_ok() {}
        }
    }

    #[test]
    fn a_row_under_another_key_is_noticed() {
        let error =
            unwrap(b"hw2", &wrap(b"hw1", b"body")).expect_err("the key is part of the checksum");
        assert!(error.to_string().starts_with("the row head of workflow w2 is corrupt"), "{error}");
    }
}
