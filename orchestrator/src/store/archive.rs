//! The form of a backup's file: a mark and a version, then frames, each with its checksum; the last one has a digest of all that
//! stands before it. So a file that was cut off, or of which one bit has turned, is never taken for a whole one.
//!
//! Durable: version 1 is read for ever; another layout gets another version.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::rows::Writes;

const MARK: &[u8; 16] = b"causeway-backup\n";
const VERSION: u32 = 1;
/// Kind, length, checksum.
const FRAME_HEAD: usize = 9;
/// About how many bytes of rows go into one frame.
const FRAME_BYTES: usize = 256 * 1024;
/// The longest frame that is read: one row and its key at the most, beyond what a frame is meant to have.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// What stands first: whose backup it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) store_id: String,
    pub(super) restore_epoch: u64,
    pub(super) schema: u32,
    /// The version of the program that wrote it.
    pub(super) program: String,
}

/// What stands last.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    frames: u64,
    sha256: String,
}

/// Rows that are there, or (`None`) are not any more, by key.
pub(super) type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// One part of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Header(Header),
    /// Rows as they were, or were written while the others were copied; later ones win.
    Rows(Changes),
    /// The file is whole.
    End,
}

/// Writes the file, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Packer {
    digest: Sha256,
    frames: u64,
}

impl Packer {
    pub(super) fn begin(&mut self, header: &Header) -> Vec<u8> {
        let mut piece = MARK.to_vec();
        piece.extend_from_slice(&VERSION.to_le_bytes());
        let body = serde_json::to_vec(header).expect("a header has string keys only");
        piece.extend(frame(b'h', &body));
        self.count(piece, 1)
    }

    /// Rows, in as many frames as they take.
    pub(super) fn rows(
        &mut self,
        rows: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Vec<u8> {
        let (mut piece, mut frames, mut body) = (Vec::new(), 0, Vec::new());
        let mut rows = rows.into_iter().peekable();
        while let Some((key, value)) = rows.next() {
            put(&mut body, &key);
            body.push(u8::from(value.is_some()));
            put(&mut body, value.as_deref().unwrap_or_default());
            if body.len() >= FRAME_BYTES || rows.peek().is_none() {
                piece.extend(frame(b'r', &std::mem::take(&mut body)));
                frames += 1;
            }
        }
        self.count(piece, frames)
    }

    pub(super) fn writes(&mut self, writes: Writes) -> Vec<u8> {
        self.rows(writes)
    }

    pub(super) fn end(self) -> Vec<u8> {
        let end = End { frames: self.frames, sha256: hex::encode(self.digest.finalize()) };
        frame(b'e', &serde_json::to_vec(&end).expect("an end has string keys only"))
    }

    fn count(&mut self, piece: Vec<u8>, frames: u64) -> Vec<u8> {
        self.digest.update(&piece);
        self.frames += frames;
        piece
    }
}

fn put(body: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a row is bounded");
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(bytes);
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a frame is bounded");
    let mut frame = Vec::with_capacity(FRAME_HEAD + body.len());
    frame.push(kind);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&checksum(kind, body).to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

fn checksum(kind: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(body);
    hasher.finalize()
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It begins with something else.
    #[error("it is no backup of causewayd")]
    Foreign,
    /// A newer program wrote it.
    #[error(
        "its format is {0}, this program reads {VERSION}; restore it with the program that wrote it, or a newer one"
    )]
    Newer(u32),
    /// It ends too early.
    #[error("it is cut off after {0} bytes")]
    CutOff(u64),
    /// A checksum does not fit.
    #[error("it is damaged at byte {0}: {1}")]
    Damaged(u64, &'static str),
    /// It can't be read.
    #[error("it can't be read")]
    Unreadable(#[from] io::Error),
}

/// Reads a file, frame by frame.
pub(super) struct Unpacker<R> {
    from: R,
    at: u64,
    digest: Sha256,
    frames: u64,
}

impl<R: Read> Unpacker<R> {
    /// Looks at how the file begins.
    pub(super) fn open(from: R) -> Result<Self, Damage> {
        let mut unpacker = Self { from, at: 0, digest: Sha256::new(), frames: 0 };
        let mark = unpacker.take(MARK.len())?;
        if mark != MARK {
            return Err(Damage::Foreign);
        }
        let version = number(&unpacker.take(4)?);
        if version != VERSION {
            return Err(Damage::Newer(version));
        }
        Ok(unpacker)
    }

    /// The next frame. [`Frame::End`] comes once everything before it was as it was written, and nothing follows.
    pub(super) fn next(&mut self) -> Result<Frame, Damage> {
        let (start, before) = (self.at, self.digest.clone());
        let head = self.take(FRAME_HEAD)?;
        let length = number(&head[1..5]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(Damage::Damaged(start, "a length is impossible"));
        }
        let body = self.take(length)?;
        if number(&head[5..9]) != checksum(head[0], &body) {
            return Err(Damage::Damaged(start, "a checksum does not fit"));
        }
        let odd = || Damage::Damaged(start, "it makes no sense, though its checksum fits");
        let frame = match head[0] {
            b'h' => Frame::Header(serde_json::from_slice(&body).map_err(|_| odd())?),
            b'r' => Frame::Rows(rows(&body).ok_or_else(odd)?),
            b'e' => {
                let end: End = serde_json::from_slice(&body).map_err(|_| odd())?;
                let sha256 = hex::encode(before.finalize());
                if end != (End { frames: self.frames, sha256 }) {
                    return Err(Damage::Damaged(start, "the digest of the whole does not fit"));
                }
                if self.from.read(&mut [0])? != 0 {
                    return Err(Damage::Damaged(self.at, "something follows its end"));
                }
                Frame::End
            }
            _ => return Err(odd()),
        };
        self.frames += 1;
        // Whose it is stands first, and once.
        if matches!(frame, Frame::Header(_)) != (self.frames == 1) {
            return Err(odd());
        }
        Ok(frame)
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Damage> {
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Damage::CutOff(self.at),
            _ => Damage::Unreadable(error),
        })?;
        self.digest.update(&bytes);
        self.at += length as u64;
        Ok(bytes)
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn rows(mut body: &[u8]) -> Option<Changes> {
    let mut rows = Vec::new();
    while !body.is_empty() {
        let key = cut(&mut body)?;
        let (there, rest) = body.split_first()?;
        body = rest;
        let value = cut(&mut body)?;
        rows.push((key, (*there == 1).then_some(value)));
    }
    Some(rows)
}

fn cut(body: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *body = rest;
    Some(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { store_id: "s".into(), restore_epoch: 3, schema: 1, program: "0.1.0".into() }
    }

    fn file() -> Vec<u8> {
        let mut packer = Packer::default();
        let mut file = packer.begin(&header());
        let large = vec![7; FRAME_BYTES];
        file.extend(packer.rows([
            (vec![1], Some(vec![2])),
            (vec![3], Some(large)),
            (vec![4], Some(vec![])),
        ]));
        file.extend(packer.writes(Writes::from([(vec![1], None), (vec![5], Some(vec![6]))])));
        file.extend(packer.end());
        file
    }

    fn read(file: &[u8]) -> Result<Vec<Frame>, Damage> {
        let mut unpacker = Unpacker::open(file)?;
        let mut frames = Vec::new();
        loop {
            match unpacker.next()? {
                Frame::End => return Ok(frames),
                frame => frames.push(frame),
            }
        }
    }

    #[test]
    fn what_was_packed_comes_out_again() {
        let frames = read(&file()).unwrap();
        assert_eq!(frames[0], Frame::Header(header()));
        assert_eq!(frames.len(), 4, "long rows take frames of their own");
        assert_eq!(frames[3], Frame::Rows(vec![(vec![1], None), (vec![5], Some(vec![6]))]));
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_is_refused() {
        let file = file();
        for length in (0..file.len()).step_by(101).chain(file.len() - 40..file.len()) {
            assert!(matches!(read(&file[..length]), Err(Damage::CutOff(_))), "{length}");
        }
    }

    #[test]
    fn a_file_of_which_one_bit_has_turned_is_refused() {
        let mut file = file();
        let near = (0..200).chain(file.len() - 300..file.len());
        for at in near.chain((0..file.len()).step_by(4001)).collect::<Vec<_>>() {
            file[at] ^= 1 << (at % 8);
            assert!(read(&file).is_err(), "byte {at}");
            file[at] ^= 1 << (at % 8);
        }
        assert!(read(&file).is_ok());
    }

    #[test]
    fn frames_that_are_left_out_repeated_or_added_are_missed() {
        let mut packer = Packer::default();
        let begin = packer.begin(&header());
        let one = packer.rows([(vec![1], Some(vec![2]))]);
        let end = packer.end();
        let with = |parts: &[&[u8]]| read(&parts.concat());
        assert!(with(&[&begin, &one, &end]).is_ok());
        assert!(with(&[&begin, &end]).is_err());
        assert!(with(&[&begin, &one, &one, &end]).is_err());
        assert!(with(&[&begin, &one, &end, &one]).is_err());
        assert!(with(&[&begin, &begin, &one, &end]).is_err());
        assert!(matches!(with(&[b"something else altogether"]), Err(Damage::Foreign)));
    }
}
