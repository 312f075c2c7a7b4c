//! From messages to JSON: every field, in the contract's order and with its names.
//!
//! Shapes are complete: what is unset is `null`, so that a reader need not know which fields may be missing. 64-bit numbers
//! are numbers, times RFC 3339. Secrets have no shape: they are left out, but for the one that is shown once.

use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage as _, SerializeOptions, Value};
use serde_json::{Number, Value as Json};

use super::read::is_well_known;

/// Fields that are never shown: Admin takes them and does not give them.
pub(super) const WRITE_ONLY: [&str; 2] =
    ["orchestrator.v1.Provider.api_key", "orchestrator.v1.ProviderKey.secret"];
/// Fields that only the answer which makes them has.
pub(super) const SHOWN_ONCE: [&str; 3] =
    ["orchestrator.v1.ApiKey.secret", "orchestrator.v1.AdminKey.secret", "orchestrator.v1.Session.token"];

/// JSON text of a message. `created`: it is the answer to what may have made a secret.
pub(super) fn message(message: &DynamicMessage, created: bool) -> String {
    let mut text = String::new();
    write_message(&mut text, message, created);
    text
}

/// JSON text of a list of messages.
pub(super) fn list(values: &[Value]) -> String {
    let mut text = String::new();
    write_list(&mut text, values);
    text
}

// The text is written here rather than through `serde_json::Value`, whose objects forget the order of their keys.

fn write_message(text: &mut String, message: &DynamicMessage, created: bool) {
    if is_well_known(&message.descriptor()) {
        return write_well_known(text, message);
    }
    let mut separator = '{';
    for field in message.descriptor().fields() {
        if is_hidden(&field, message, created) {
            continue;
        }
        text.push(separator);
        separator = ',';
        write_string(text, field.name());
        text.push(':');
        if field.supports_presence() && !message.has_field(&field) {
            text.push_str("null");
        } else {
            write_value(text, &message.get_field(&field));
        }
    }
    text.push_str(if separator == '{' { "{}" } else { "}" });
}

fn is_hidden(field: &FieldDescriptor, message: &DynamicMessage, created: bool) -> bool {
    let name = field.full_name();
    let may_be_shown = created && message.has_field(field);
    WRITE_ONLY.contains(&name) || (SHOWN_ONCE.contains(&name) && !may_be_shown)
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::I32(value) | Value::EnumNumber(value) => text.push_str(&value.to_string()),
        Value::I64(value) => text.push_str(&value.to_string()),
        Value::U32(value) => text.push_str(&value.to_string()),
        Value::U64(value) => text.push_str(&value.to_string()),
        Value::F32(value) => write_float(text, f64::from(*value)),
        Value::F64(value) => write_float(text, *value),
        Value::String(value) => write_string(text, value),
        // No resource has bytes; text is all that JSON could carry of them.
        Value::Bytes(value) => write_string(text, &String::from_utf8_lossy(value)),
        Value::Message(value) => write_message(text, value, false),
        Value::List(values) => write_list(text, values),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_string(text, &map_key(key));
                text.push(':');
                write_value(text, value);
            }
            text.push('}');
        }
    }
}

fn write_list(text: &mut String, values: &[Value]) {
    text.push('[');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write_value(text, value);
    }
    text.push(']');
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// A time: prost-reflect knows its form. One that is out of range has none.
fn write_well_known(text: &mut String, message: &DynamicMessage) {
    let json = message.serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new());
    text.push_str(&json.unwrap_or(Json::Null).to_string());
}

/// JSON has no infinity; neither has any resource.
fn write_float(text: &mut String, value: f64) {
    text.push_str(&Number::from_f64(value).map_or_else(|| "null".to_owned(), |number| number.to_string()));
}

fn write_string(text: &mut String, value: &str) {
    text.push_str(&Json::from(value).to_string());
}
