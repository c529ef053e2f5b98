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
