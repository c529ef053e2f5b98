//! Sealing: what is secret lies in the store only as ciphertext (XChaCha20-Poly1305), bound to its id, with the id of the key in
//! its envelope. The same key, by separate derivations, names blobs and compares requests without showing what they are.
//! It knows nothing of where a value is kept.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use rand::TryRngCore;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::append::BlobId;

/// The environment variable that may hold the key, as 64 hex digits.
pub const KEY_VARIABLE: &str = "CAUSEWAY_SEALING_KEY";
/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// The layout of an envelope: version, key id, nonce, ciphertext with its tag.
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;

/// Why something can't be sealed or opened. It never carries a key or a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key file can't be used.
    #[error("the sealing key in {}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The text is no key.
    #[error("the sealing key in {place} is not 64 hex digits; make one with: openssl rand -hex 32")]
    NotAKey {
        /// Where it stands.
        place: String,
    },
    /// The system gives no randomness.
    #[error("the system's random number generator failed: {why}")]
    Random {
        /// What it said.
        why: String,
    },
    /// Another key sealed it.
    #[error(
        "the value {id} was sealed with key {sealed_with}, this daemon has key {present}; give it the key that the store was written with"
    )]
    OtherKey {
        /// The value's id.
        id: String,
        /// Its key's id.
        sealed_with: String,
        /// The daemon's key's id.
        present: String,
    },
    /// The envelope or the ciphertext is not what was written for this id.
    #[error("the sealed value {id} is damaged, or was written for another id")]
    Damaged {
        /// The value's id.
        id: String,
    },
}

/// A key, ready to seal and open.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    key_id: [u8; KEY_ID_BYTES],
    naming: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sealer")
            .field("key_id", &self.key_id())
            .field("key", &"[redacted]")
            .finish()
    }
}

impl Sealer {
    /// From 64 hex digits; white space around them is ignored. `place` says where they stand, for the error.
    ///
    /// # Errors
    /// [`SealError::NotAKey`].
    pub fn from_hex(text: &str, place: &str) -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let decoded = hex::decode_to_slice(text.trim(), &mut *key);
        decoded.map_err(|_| SealError::NotAKey { place: place.to_owned() })?;
        Ok(Self::new(&key))
    }

    /// From a file that holds 64 hex digits.
    ///
    /// # Errors
    /// [`SealError::File`], [`SealError::NotAKey`].
    pub fn from_file(path: &Path) -> Result<Self, SealError> {
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|error| SealError::File {
            path: path.to_path_buf(),
            why: format!("reading it: {error}"),
        })?;
        Self::from_hex(&text, &path.display().to_string())
    }

    /// Makes a new key and writes it to a file that only its owner reads, durably; fails where the file is there.
    ///
    /// # Errors
    /// [`SealError::File`], [`SealError::Random`].
    pub fn create_file(path: &Path) -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        fill(&mut *key)?;
        write_new(path, &Zeroizing::new(hex::encode(*key))).map_err(|error| SealError::File {
            path: path.to_path_buf(),
            why: format!("making it: {error}"),
        })?;
        Ok(Self::new(&key))
    }

    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let derive = |purpose: &str| Zeroizing::new(hmac(key, &[purpose.as_bytes()]));
        let mut key_id = [0; KEY_ID_BYTES];
        key_id.copy_from_slice(&derive("causeway key id")[..KEY_ID_BYTES]);
        let sealing = derive("causeway sealing");
        Self {
            cipher: XChaCha20Poly1305::new((&*sealing).into()),
            key_id,
            naming: derive("causeway naming"),
        }
    }

    /// The key's id, in hex: tells keys apart, gives nothing away.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(self.key_id)
    }

    /// Seals a value for an id; it opens under that id only.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(&self, id: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        fill(&mut nonce)?;
        let payload = Payload { msg: secret, aad: id.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        // The cipher refuses only messages beyond 256 GiB.
        let sealed = sealed.map_err(|_| SealError::Damaged { id: id.to_owned() })?;
        Ok([&[VERSION][..], &self.key_id, &nonce, &sealed].concat())
    }

    /// Opens what was sealed for an id.
    ///
    /// # Errors
    /// [`SealError::OtherKey`], [`SealError::Damaged`].
    pub fn open(&self, id: &str, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let damaged = || SealError::Damaged { id: id.to_owned() };
        let rest = envelope.strip_prefix(&[VERSION]).ok_or_else(damaged)?;
        let (key_id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>().ok_or_else(damaged)?;
        if *key_id != self.key_id {
            return Err(SealError::OtherKey {
                id: id.to_owned(),
                sealed_with: hex::encode(key_id),
                present: self.key_id(),
            });
        }
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        let payload = Payload { msg: sealed, aad: id.as_bytes() };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| damaged())
    }

    /// A blob's name: an HMAC of its bytes.
    #[must_use]
    pub fn blob_id(&self, bytes: &[u8]) -> BlobId {
        BlobId::new(self.digest("blob", bytes))
    }

    /// An HMAC in hex, for comparing what must not be kept in the clear (requests, changed values). Purposes are apart.
    #[must_use]
    pub fn digest(&self, purpose: &str, bytes: &[u8]) -> String {
        hex::encode(hmac(&self.naming, &[purpose.as_bytes(), &[0], bytes]))
    }
}

fn hmac(key: &[u8; KEY_BYTES], parts: &[&[u8]]) -> [u8; KEY_BYTES] {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key)
        .expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn fill(bytes: &mut [u8]) -> Result<(), SealError> {
    rand::rngs::OsRng
        .try_fill_bytes(bytes)
        .map_err(|error| SealError::Random { why: error.to_string() })
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(digit: char) -> Sealer {
        Sealer::from_hex(&digit.to_string().repeat(64), "a test").expect("64 hex digits are a key")
    }

    #[test]
    fn what_was_sealed_opens_under_its_id_only() {
        let sealer = sealer('a');
        let sealed = sealer.seal("w1/key", b"a secret").expect("there is randomness");
        assert_eq!(
            sealer.open("w1/key", &sealed).expect("it was sealed for it").as_slice(),
            b"a secret"
        );
        assert_eq!(
            sealer.open("w2/key", &sealed),
            Err(SealError::Damaged { id: "w2/key".to_owned() })
        );
        assert!(!sealed.windows(8).any(|window| window == b"a secret"));
    }

    #[test]
    fn the_same_value_is_never_sealed_the_same_way_twice() {
        let sealer = sealer('a');
        assert_ne!(sealer.seal("id", b"x"), sealer.seal("id", b"x"));
    }

    #[test]
    fn another_key_is_named_and_any_changed_byte_noticed() {
        let sealed = sealer('a').seal("id", b"a secret").expect("there is randomness");
        assert!(matches!(sealer('b').open("id", &sealed), Err(SealError::OtherKey { .. })));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(sealer('a').open("id", &damaged).is_err(), "byte {at}");
            assert!(sealer('a').open("id", &sealed[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn digests_of_different_purposes_and_keys_differ() {
        let sealer = sealer('a');
        assert_eq!(sealer.blob_id(b"x").as_str(), sealer.digest("blob", b"x"));
        assert_ne!(sealer.digest("blob", b"x"), sealer.digest("request", b"x"));
        assert_ne!(sealer.digest("blob", b"x"), super::tests::sealer('b').digest("blob", b"x"));
    }

    #[test]
    fn a_made_key_is_private_readable_again_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("sealing.key");
        let made = Sealer::create_file(&path).expect("the folder is ours");
        assert_eq!(
            std::fs::metadata(&path).expect("it was made").permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(Sealer::from_file(&path).expect("it holds a key").key_id(), made.key_id());
        assert!(matches!(Sealer::create_file(&path), Err(SealError::File { .. })));
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let error =
            Sealer::from_hex("hunter2", "CAUSEWAY_SEALING_KEY").expect_err("that is no key");
        assert!(!error.to_string().contains("hunter2"));
        assert!(!format!("{:?}", sealer('a')).contains("aaaa"));
    }
}
