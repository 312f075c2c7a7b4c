//! JSON schemas of the contract's messages: as they are answered (`show`), and as they are taken (`read`).

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;
use crate::admin_api::{
    read,
    show::{SHOWN_ONCE, WRITE_ONLY},
};

/// What the comment of a field says that a request does not set.
const READ_ONLY: &str = "Read-only";
/// The end of a field's name that holds JSON as text.
const JSON: &str = "_json";

/// The schemas that were referred to so far.
pub(super) struct Schemas<'a> {
    pub(super) comments: &'a Comments,
    made: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(comments: &'a Comments) -> Self {
        Self { comments, made: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> Value {
        self.made.into_iter().collect()
    }

    /// A message in an answer: it has every field.
    pub(super) fn output(&mut self, message: &MessageDescriptor) -> Value {
        let name = message.name().to_owned();
        if !self.made.contains_key(&name) {
            self.made.insert(name.clone(), Value::Null);
            let (mut properties, mut required) = (Map::new(), Vec::new());
            for field in message.fields().filter(|field| !WRITE_ONLY.contains(&field.full_name())) {
                let mut schema = self.of(&field, &mut Self::output);
                if field.supports_presence() {
                    schema = or_null(schema);
                }
                properties.insert(field.name().to_owned(), self.described(&field, schema));
                if !SHOWN_ONCE.contains(&field.full_name()) {
                    required.push(field.name().to_owned());
                }
            }
            let schema = json!({
                "type": "object",
                "description": self.comments.of_message(message),
                "required": required,
                "properties": properties,
                "additionalProperties": false,
            });
            self.made.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// A message in a request: `null` leaves a field unset, and unknown fields are refused.
    pub(super) fn input(&mut self, message: &MessageDescriptor) -> Value {
        let name = format!("{}Input", message.name());
        if !self.made.contains_key(&name) {
            self.made.insert(name.clone(), Value::Null);
            let fields: Vec<FieldDescriptor> = message.fields().collect();
            let mut schema = self.object_of(&fields);
            schema["description"] = self.comments.of_message(message).into();
            self.made.insert(name.clone(), schema);
        }
        reference(&name)
    }

    /// An object of these fields, in a request.
    pub(super) fn object_of(&mut self, fields: &[FieldDescriptor]) -> Value {
        let mut properties = Map::new();
        for field in fields {
            let is_read_only = self.comments.of_field(field).contains(READ_ONLY);
            if is_read_only || field.name() == "id" || SHOWN_ONCE.contains(&field.full_name()) {
                continue;
            }
            let (name, schema) = match field.name().strip_suffix(JSON) {
                Some(document) if field.kind() == Kind::String && !field.is_map() && !field.is_list() => {
                    (document, json!({ "type": "object" }))
                }
                _ => (field.name(), self.of(field, &mut Self::input)),
            };
            let schema = self.described(field, or_null(schema));
            properties.insert(name.to_owned(), schema);
        }
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    }

    /// A field that a query holds.
    pub(super) fn plain(&mut self, field: &FieldDescriptor) -> Value {
        self.of(field, &mut Self::output)
    }

    fn of(
        &mut self,
        field: &FieldDescriptor,
        message: &mut impl FnMut(&mut Self, &MessageDescriptor) -> Value,
    ) -> Value {
        if field.is_map()
            && let Some(entry) = field.kind().as_message()
        {
            let value = self.of_kind(&entry.map_entry_value_field().kind(), message);
            return json!({ "type": "object", "additionalProperties": value });
        }
        let schema = self.of_kind(&field.kind(), message);
        if field.is_list() { json!({ "type": "array", "items": schema }) } else { schema }
    }

    fn of_kind(
        &mut self,
        kind: &Kind,
        message: &mut impl FnMut(&mut Self, &MessageDescriptor) -> Value,
    ) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Enum(_) => {
                json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX })
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX })
            }
            Kind::String | Kind::Bytes => json!({ "type": "string" }),
            Kind::Message(inner) if read::is_well_known(inner) => {
                json!({ "type": "string", "format": "date-time" })
            }
            Kind::Message(inner) => message(self, inner),
        }
    }

    fn described(&self, field: &FieldDescriptor, mut schema: Value) -> Value {
        let description = self.comments.of_field(field);
        if !description.is_empty() {
            schema["description"] = description.into();
        }
        schema
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn or_null(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
        return schema;
    }
    json!({ "anyOf": [schema, { "type": "null" }] })
}
