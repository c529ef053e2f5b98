//! From messages to any serde serializer, in the order of the proto.

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, SerializeOptions, Value,
};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// The one field whose output name is not its proto name: files are written in the manner of Kubernetes.
const API_VERSION: &str = "api_version";

/// Writes a message.
pub(super) struct Ordered(pub(super) DynamicMessage);

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        message(&self.0, serializer)
    }
}

fn message<S: Serializer>(message: &DynamicMessage, serializer: S) -> Result<S::Ok, S::Error> {
    let kind = message.descriptor();
    match kind.full_name() {
        "google.protobuf.Struct" => return free_mapping(message, serializer),
        "google.protobuf.ListValue" => return free_list(message, serializer),
        "google.protobuf.Value" => return free_value(message, serializer),
        _ => {}
    }
    if kind.full_name().starts_with("google.protobuf.") {
        return message.serialize_with_options(serializer, &SerializeOptions::new());
    }
    let mut map = serializer.serialize_map(None)?;
    for field in kind.fields().filter(|field| message.has_field(field)) {
        let name = if field.name() == API_VERSION { field.json_name() } else { field.name() };
        map.serialize_entry(name, &Field(&field, &message.get_field(&field)))?;
    }
    map.end()
}

/// The one field of a well-known message of free form.
fn only_field(message: &DynamicMessage) -> Option<Value> {
    message.fields().next().map(|(_, value)| value.clone())
}

fn free_mapping<S: Serializer>(message: &DynamicMessage, to: S) -> Result<S::Ok, S::Error> {
    let fields = only_field(message);
    let map = fields.as_ref().and_then(Value::as_map);
    let mut entries: Vec<_> =
        map.into_iter().flatten().map(|(key, value)| (text(key), value)).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    to.collect_map(entries.into_iter().map(|(key, value)| (key, Free(value))))
}

fn free_list<S: Serializer>(message: &DynamicMessage, to: S) -> Result<S::Ok, S::Error> {
    let values = only_field(message);
    to.collect_seq(values.as_ref().and_then(Value::as_list).into_iter().flatten().map(Free))
}

fn free_value<S: Serializer>(message: &DynamicMessage, to: S) -> Result<S::Ok, S::Error> {
    match only_field(message) {
        Some(Value::Bool(value)) => to.serialize_bool(value),
        Some(Value::String(value)) => to.serialize_str(&value),
        Some(Value::F64(value)) => number(value, to),
        Some(Value::Message(value)) => self::message(&value, to),
        _ => to.serialize_none(),
    }
}

/// A number of free form. Protobuf knows only doubles there: what was a whole number is written as one.
fn number<S: Serializer>(value: f64, to: S) -> Result<S::Ok, S::Error> {
    /// Up to here a double tells every whole number from the next.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
        #[allow(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
        return to.serialize_i64(value as i64);
    }
    to.serialize_f64(value)
}

/// A value within a message of free form.
struct Free<'a>(&'a Value);

impl Serialize for Free<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Message(value) => message(value, serializer),
            _ => serializer.serialize_none(),
        }
    }
}

/// A value with the field that says what its numbers mean.
struct Field<'a>(&'a FieldDescriptor, &'a Value);

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Value::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    seq.serialize_element(&Single(&self.0.kind(), value))?;
                }
                seq.end()
            }
            Value::Map(map) => {
                let kind = self.0.kind();
                let entry = kind.as_message().expect("a map field is a list of entry messages");
                let value_kind = entry.map_entry_value_field().kind();
                let mut entries: Vec<_> =
                    map.iter().map(|(key, value)| (text(key), value)).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&key, &Single(&value_kind, value))?;
                }
                map.end()
            }
            value => Single(&self.0.kind(), value).serialize(serializer),
        }
    }
}

fn text(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => text.clone(),
        MapKey::Bool(value) => value.to_string(),
        MapKey::I32(value) => value.to_string(),
        MapKey::I64(value) => value.to_string(),
        MapKey::U32(value) => value.to_string(),
        MapKey::U64(value) => value.to_string(),
    }
}

struct Single<'a>(&'a Kind, &'a Value);

impl Serialize for Single<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            // Proto3 JSON: numbers of 64 bits are strings, as many readers lose digits beyond 2^53.
            Value::I64(value) => serializer.collect_str(value),
            Value::U64(value) => serializer.collect_str(value),
            Value::F32(value) => serializer.serialize_f32(*value),
            Value::F64(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::EnumNumber(number) => {
                match self.0.as_enum().and_then(|kind| kind.get_value(*number)) {
                    Some(value) => serializer.serialize_str(value.name()),
                    // A value that is newer than this program.
                    None => serializer.serialize_i32(*number),
                }
            }
            Value::Message(value) => message(value, serializer),
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::List(_) | Value::Map(_) => {
                Err(serde::ser::Error::custom("a list within a list is no protobuf"))
            }
        }
    }
}
