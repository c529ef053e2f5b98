//! The one mapping between messages and JSON or YAML values.
//!
//! Proto3 JSON, with the proto's snake_case names on output. Input also takes lowerCamelCase names, enum values in any
//! case and with `-` for `_`, and durations as `2h30m` as well as `9000s`. Whatever does not fit is reported with its
//! path, all of it at once. The same paths appear in the `BadRequest` of the daemon's errors.

mod decode;
mod encode;
pub mod path;
mod scalar;
#[cfg(test)]
mod tests;

use std::{fmt, sync::OnceLock};

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::Serialize;

pub use scalar::{format_duration, parse_duration};

/// One thing that is wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: `spec.vpc.pod_vswitches[0].id`. Empty for the input as a whole.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Violation {
    /// A violation at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Reads a message from a JSON value (or from a YAML file read into one).
///
/// # Errors
/// Everything that is wrong with it, in the order of the input's fields.
pub fn decode<M: Message + Name + Default>(value: &serde_json::Value) -> Result<M, Vec<Violation>> {
    let message = decode::message(&descriptor::<M>(), value)?;
    Ok(message.transcode_to().expect("a message fits the type that its descriptor was made from"))
}

/// Writes a message as a JSON value. Fields without a value are left out.
pub fn encode<M: Message + Name>(message: &M) -> serde_json::Value {
    serde_json::to_value(ordered(message)).expect("messages have string keys and finite depth")
}

/// Writes a message through any serde serializer, with the fields in the order of the proto. For files and terminals.
pub fn ordered<M: Message + Name>(message: &M) -> impl Serialize + use<M> {
    encode::Ordered(dynamic(message))
}

/// A text that somebody gave, in quotes, as an error repeats it: what is long is cut, with its length.
#[must_use]
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} bytes)", &text[..end], text.len()),
    }
}

/// Longest text that an error repeats whole, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// The names of an enumeration's values, but for the one that is never sent.
#[cfg(test)]
pub(crate) fn enumeration(name: &str) -> Vec<String> {
    let kind = pool().get_enum_by_name(name).expect("the test names an enumeration");
    kind.values().filter(|value| value.number() != 0).map(|value| value.name().to_owned()).collect()
}

/// The descriptors of `causeway.v1`.
fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        DescriptorPool::decode(crate::v1::FILE_DESCRIPTOR_SET)
            .expect("the embedded descriptors were compiled by us")
    })
}

fn descriptor<M: Name>() -> MessageDescriptor {
    pool()
        .get_message_by_name(&M::full_name())
        .expect("every generated type is among the embedded descriptors")
}

/// The same message, open to reflection.
pub(crate) fn dynamic<M: Message + Name>(message: &M) -> DynamicMessage {
    let mut dynamic = DynamicMessage::new(descriptor::<M>());
    dynamic.transcode_from(message).expect("a message fits its own descriptor");
    dynamic
}
