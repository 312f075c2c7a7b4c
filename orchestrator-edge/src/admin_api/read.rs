//! From JSON to messages, naming the field that is wrong.

use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};
use serde_json::{Map, Value as Json};

use super::failure::AdminError;

/// Names further apart than this are not a slip of the pen.
const NEAR: f64 = 0.6;

/// Sets the fields that `json`, an object, gives. `null` leaves a field unset.
pub(super) fn fill(message: &mut DynamicMessage, json: &Json) -> Result<(), AdminError> {
    fill_under(message, object(json)?, "")
}

/// Sets the field that a parameter of the query names: one of the request's own, or of its `filter`.
pub(super) fn fill_query(message: &mut DynamicMessage, name: &str, value: &str) -> Result<(), AdminError> {
    let descriptor = message.descriptor();
    if descriptor.get_field_by_name(name).is_none()
        && let Some(field) = descriptor.get_field_by_name("filter")
        && let Some(filter) = message.get_field_mut(&field).as_message_mut()
    {
        return fill_query(filter, name, value);
    }
    let is_bool = descriptor.get_field_by_name(name).is_some_and(|field| field.kind() == Kind::Bool);
    let json = match value {
        "true" if is_bool => Json::Bool(true),
        "false" if is_bool => Json::Bool(false),
        _ => Json::from(value),
    };
    fill(message, &Json::Object(Map::from_iter([(name.to_owned(), json)])))
}

/// The object that a body must be.
pub(super) fn object(json: &Json) -> Result<&Map<String, Json>, AdminError> {
    json.as_object().ok_or_else(|| AdminError::invalid("The body must be a JSON object.".to_owned()))
}

/// Sets one field from JSON. `path` is the field's full name, for errors.
pub(super) fn set(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    json: &Json,
    path: &str,
) -> Result<(), AdminError> {
    if json.is_null() {
        return Ok(());
    }
    if let (Some(inner), Json::Object(keys)) = (nested(field), json) {
        let mut value = DynamicMessage::new(inner);
        fill_under(&mut value, keys, path)?;
        message.set_field(field, Value::Message(value));
        return Ok(());
    }
    // One field at a time, so that an error is known to be about this one.
    let alone = Json::Object(Map::from_iter([(field.name().to_owned(), json.clone())]));
    let parsed =
        DynamicMessage::deserialize_with_options(message.descriptor(), alone, &DeserializeOptions::new())
            .map_err(|error| {
                AdminError::invalid_field(path, format!("The field `{path}` is malformed: {error}."))
            })?;
    message.set_field(field, parsed.get_field(field).into_owned());
    Ok(())
}

fn fill_under(
    message: &mut DynamicMessage,
    keys: &Map<String, Json>,
    parent: &str,
) -> Result<(), AdminError> {
    for (key, json) in keys {
        let path = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
        if let Some(document) = document_field(&message.descriptor(), key) {
            message.set_field(&document, Value::String(json.to_string()));
            continue;
        }
        let field = field(&message.descriptor(), key, &path)?;
        set(message, &field, json, &path)?;
    }
    Ok(())
}

/// The field that holds a JSON value as its text: `document_json` for `document`. Here the value stands as it is.
fn document_field(descriptor: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    let field = descriptor.get_field_by_name(&format!("{key}_json"))?;
    (field.kind() == Kind::String && !field.is_list() && !field.is_map()).then_some(field)
}

/// The field of that name; the contract's own names alone, for two spellings of one field could contradict each other.
fn field(descriptor: &MessageDescriptor, key: &str, path: &str) -> Result<FieldDescriptor, AdminError> {
    if let Some(field) = descriptor.get_field_by_name(key) {
        return Ok(field);
    }
    let likeness = |field: &FieldDescriptor| strsim::normalized_damerau_levenshtein(field.name(), key);
    let nearest = descriptor.fields().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let hint = nearest.filter(|field| likeness(field) >= NEAR);
    let hint = hint.map(|field| format!(" Did you mean `{}`?", field.name())).unwrap_or_default();
    Err(AdminError::invalid_field(path, format!("There is no field `{path}`.{hint}")))
}

/// The message that a field holds, when its JSON is an object of that message's fields.
fn nested(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(inner) if !field.is_list() && !field.is_map() && !is_well_known(&inner) => Some(inner),
        _ => None,
    }
}

/// Timestamps and their like have JSON forms of their own.
pub(super) fn is_well_known(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() == "google.protobuf"
}
