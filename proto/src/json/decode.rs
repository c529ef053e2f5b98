//! From JSON values to messages, collecting everything that is wrong.

use std::collections::HashMap;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value,
};
use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value as Json};

use super::{Violation, path, scalar};

/// Most violations that are collected: more help nobody.
const VIOLATIONS_MAX: usize = 100;

/// Reads a message of the given type.
pub(super) fn message(
    kind: &MessageDescriptor,
    json: &Json,
) -> Result<DynamicMessage, Vec<Violation>> {
    let mut reader = Reader { violations: Vec::new() };
    let message = reader.message(kind, json, "");
    match message {
        Some(message) if reader.violations.is_empty() => Ok(message),
        _ => Err(reader.violations),
    }
}

/// `None` from a method means that a violation was recorded.
struct Reader {
    violations: Vec<Violation>,
}

impl Reader {
    fn wrong<T>(&mut self, at: &str, message: String) -> Option<T> {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation::new(at, message));
        }
        None
    }

    fn message(
        &mut self,
        kind: &MessageDescriptor,
        json: &Json,
        at: &str,
    ) -> Option<DynamicMessage> {
        if kind.full_name().starts_with("google.protobuf.") {
            return self.well_known(kind, json, at);
        }
        let Json::Object(object) = json else {
            let expected = format!("a mapping with {}", names(kind));
            return self.wrong(at, scalar::unexpected(&expected, json));
        };
        let mut message = DynamicMessage::new(kind.clone());
        let mut ok = true;
        for (key, json) in object {
            ok &= self.entry(&mut message, key, json, at).is_some();
        }
        ok &= self.one_of_each(kind, object, at).is_some();
        ok.then_some(message)
    }

    /// One key of an object. `null` stands for "not given".
    fn entry(
        &mut self,
        message: &mut DynamicMessage,
        key: &str,
        json: &Json,
        at: &str,
    ) -> Option<()> {
        let kind = message.descriptor();
        let Some(field) =
            kind.fields().find(|field| field.name() == key || field.json_name() == key)
        else {
            return self.wrong(&path::key(at, key), unknown_field(&kind, key));
        };
        let here = path::field(at, field.name());
        if message.has_field(&field) {
            return self.wrong(
                &here,
                format!("is given twice, as {} and as {}", field.name(), field.json_name()),
            );
        }
        if json.is_null() {
            return Some(());
        }
        let value = self.field(&field, json, &here)?;
        message.set_field(&field, value);
        Some(())
    }

    /// At most one member of each oneof may be given.
    fn one_of_each(
        &mut self,
        kind: &MessageDescriptor,
        object: &Map<String, Json>,
        at: &str,
    ) -> Option<()> {
        let mut result = Some(());
        for union in kind.oneofs() {
            let given: Vec<_> = union
                .fields()
                .filter(|field| {
                    [field.name(), field.json_name()]
                        .iter()
                        .any(|name| object.get(*name).is_some_and(|v| !v.is_null()))
                })
                .map(|field| field.name().to_owned())
                .collect();
            if given.len() > 1 {
                result = self.wrong(at, format!("give only one of {}", given.join(", ")));
            }
        }
        result
    }

    fn field(&mut self, field: &FieldDescriptor, json: &Json, at: &str) -> Option<Value> {
        if field.is_map() {
            return self.map(field, json, at);
        }
        if !field.is_list() {
            return self.single(&field.kind(), json, at);
        }
        let Json::Array(elements) = json else {
            return self.wrong(at, scalar::unexpected("a list", json));
        };
        let mut list = Vec::with_capacity(elements.len());
        let mut ok = true;
        for (index, json) in elements.iter().enumerate() {
            let value = self.single(&field.kind(), json, &path::index(at, index));
            ok &= value.is_some();
            list.extend(value);
        }
        ok.then_some(Value::List(list))
    }

    fn map(&mut self, field: &FieldDescriptor, json: &Json, at: &str) -> Option<Value> {
        let kind = field.kind();
        let entry = kind.as_message().expect("a map field is a list of entry messages").clone();
        let Json::Object(object) = json else {
            return self.wrong(at, scalar::unexpected("a mapping", json));
        };
        let mut map = HashMap::with_capacity(object.len());
        let mut ok = true;
        for (key, json) in object {
            let value =
                self.single(&entry.map_entry_value_field().kind(), json, &path::key(at, key));
            ok &= value.is_some();
            map.extend(value.map(|value| (MapKey::String(key.clone()), value)));
        }
        ok.then_some(Value::Map(map))
    }

    fn single(&mut self, kind: &Kind, json: &Json, at: &str) -> Option<Value> {
        match kind {
            Kind::Message(kind) => self.message(kind, json, at).map(Value::Message),
            kind => match scalar::scalar(kind, json) {
                Ok(value) => Some(value),
                Err(message) => self.wrong(at, message),
            },
        }
    }

    fn well_known(
        &mut self,
        kind: &MessageDescriptor,
        json: &Json,
        at: &str,
    ) -> Option<DynamicMessage> {
        if kind.name() == "Duration" {
            return self.duration(kind, json, at);
        }
        match kind.clone().deserialize(json) {
            Ok(message) => Some(message),
            Err(_) if kind.name() == "Timestamp" => {
                self.wrong(at, scalar::unexpected("a time such as 2026-01-31T23:59:59Z", json))
            }
            Err(error) => self.wrong(at, error.to_string()),
        }
    }

    fn duration(
        &mut self,
        kind: &MessageDescriptor,
        json: &Json,
        at: &str,
    ) -> Option<DynamicMessage> {
        let duration = match json {
            Json::String(text) => scalar::parse_duration(text),
            Json::Number(number) => {
                Err(format!("the duration {number} has no unit; for seconds write {number}s"))
            }
            other => Err(scalar::unexpected("a duration such as 30s, 90m or 2h30m", other)),
        };
        match duration {
            Ok(duration) => {
                let seconds = i64::try_from(duration.as_secs()).expect("parse_duration bounds it");
                let nanos =
                    i32::try_from(duration.subsec_nanos()).expect("below a thousand million");
                let mut message = DynamicMessage::new(kind.clone());
                message.set_field_by_name("seconds", Value::I64(seconds));
                message.set_field_by_name("nanos", Value::I32(nanos));
                Some(message)
            }
            Err(message) => self.wrong(at, message),
        }
    }
}

fn unknown_field(kind: &MessageDescriptor, key: &str) -> String {
    let in_both: Vec<(String, String)> = kind
        .fields()
        .flat_map(|field| {
            let name = field.name().to_owned();
            [(name.clone(), name.clone()), (field.json_name().to_owned(), name)]
        })
        .collect();
    let closest = scalar::closest(key, in_both.iter().map(|(spelling, _)| spelling.as_str()));
    // Named as every example names it, whichever spelling was the nearer one.
    match in_both.iter().find(|(spelling, _)| Some(spelling.as_str()) == closest) {
        Some((_, name)) => format!("unknown field; did you mean {name}?"),
        None => format!("unknown field; known here: {}", names(kind)),
    }
}

fn names(kind: &MessageDescriptor) -> String {
    let names: Vec<_> = kind.fields().map(|field| field.name().to_owned()).collect();
    if names.is_empty() { "no fields".to_owned() } else { names.join(", ") }
}
