//! OpenAI's published OpenAPI description, where it is there, and whether a JSON text is what one of its schemas says.
//!
//! The description lies outside of the repository: a check that needs it runs where it is, and says so where it is not. Of JSON Schema
//! this knows what the description uses: references, the three ways to combine schemas, types, enums, properties, items. A schema
//! that only leaves something out (formats, bounds) is taken at its word.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The description.
#[derive(Debug)]
pub struct Description(Value);

/// Where it is: `OPENAPI_DIR`, else `shared/specs` beside the workspace.
#[expect(
    clippy::disallowed_methods,
    reason = "where a test finds a description is no setting of the product"
)]
fn file() -> PathBuf {
    let named = std::env::var_os("OPENAPI_DIR").filter(|named| !named.is_empty()).map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/specs");
    named.unwrap_or(beside).join("openai-openapi.json")
}

impl Description {
    /// The description, if it is there. Says on standard error when it is not. Panics when it cannot be read.
    #[expect(clippy::print_stderr, reason = "a suite that runs without the description has to say so")]
    pub fn find() -> Option<Self> {
        let Ok(text) = std::fs::read_to_string(file()) else {
            eprintln!("no OpenAPI description here: nothing is held against it (set OPENAPI_DIR)");
            return None;
        };
        Some(Self(serde_json::from_str(&text).expect("the description is JSON")))
    }

    /// Everything in which `json` is not what the schema of that name says; empty when it is.
    pub fn complaints(&self, schema: &str, json: &Value) -> Vec<String> {
        let schema = &self.0["components"]["schemas"][schema];
        assert!(schema.is_object(), "there is such a schema");
        let mut complaints = Vec::new();
        self.check(schema, json, "$", &mut complaints);
        complaints
    }

    fn check(&self, schema: &Value, json: &Value, at: &str, complaints: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let target = self.0.pointer(name.trim_start_matches('#')).expect("a reference leads somewhere");
            return self.check(target, json, at, complaints);
        }
        if json.is_null() && schema["nullable"] == true {
            return;
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, json, at, complaints);
        }
        // Of alternatives one must fit; that more than one does is left to the description.
        for alternatives in ["anyOf", "oneOf"] {
            if let Some(list) = schema[alternatives].as_array() {
                self.check_any(list, json, at, complaints);
            }
        }
        if let Some(kinds) = types(schema)
            && !kinds.iter().any(|kind| is(json, kind))
        {
            complaints.push(format!("{at} is {}, not {}", shown(json), kinds.join(" or ")));
            return;
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(json)
        {
            complaints.push(format!("{at} is {}, not one of {}", shown(json), schema["enum"]));
        }
        self.check_members(schema, json, at, complaints);
        if let Some(items) = json.as_array().filter(|_| schema["items"].is_object()) {
            for (index, item) in items.iter().enumerate() {
                self.check(&schema["items"], item, &format!("{at}[{index}]"), complaints);
            }
        }
    }

    /// The complaints of the alternative that has the fewest.
    fn check_any(&self, list: &[Value], json: &Value, at: &str, complaints: &mut Vec<String>) {
        let tried = list.iter().map(|schema| {
            let mut complaints = Vec::new();
            self.check(schema, json, at, &mut complaints);
            complaints
        });
        // What names its own type is meant by nothing else.
        let about_type =
            |list: &Vec<String>| list.iter().any(|one| one.starts_with(&format!("{at}.type is ")));
        if let Some(best) = tried.min_by_key(|list| (about_type(list), list.len())) {
            complaints.extend(best);
        }
    }

    fn check_members(&self, schema: &Value, json: &Value, at: &str, complaints: &mut Vec<String>) {
        let Some(object) = json.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                complaints.push(format!("{at}.{name} is missing"));
            }
        }
        for (name, value) in object {
            let path = format!("{at}.{name}");
            match schema["properties"].get(name) {
                Some(member) => self.check(member, value, &path, complaints),
                None if schema["additionalProperties"] == false => {
                    complaints.push(format!("{path} is unknown"));
                }
                None if schema["additionalProperties"].is_object() => {
                    self.check(&schema["additionalProperties"], value, &path, complaints);
                }
                None => {}
            }
        }
    }
}

fn types(schema: &Value) -> Option<Vec<&str>> {
    match &schema["type"] {
        Value::String(kind) => Some(vec![kind]),
        Value::Array(kinds) => Some(kinds.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn is(json: &Value, kind: &str) -> bool {
    match kind {
        "object" => json.is_object(),
        "array" => json.is_array(),
        "string" => json.is_string(),
        "boolean" => json.is_boolean(),
        "null" => json.is_null(),
        "integer" => json.is_i64() || json.is_u64(),
        "number" => json.is_number(),
        _ => false,
    }
}

fn shown(json: &Value) -> String {
    json.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_schema_says_is_held_to_and_each_fault_is_named() {
        let description = Description(json!({"components": {"schemas": {
            "Thing": {
                "type": "object", "required": ["kind", "parts"], "additionalProperties": false,
                "properties": {
                    "kind": {"type": "string", "enum": ["a"]},
                    "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "parts": {"type": "array", "items": {"oneOf": [
                        {"$ref": "#/components/schemas/Text"}, {"type": "object", "properties": {"type": {"enum": ["other"]}}}
                    ]}},
                },
            },
            "Text": {"allOf": [
                {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["text"]}}},
                {"required": ["text"], "properties": {"text": {"type": "string"}}},
            ]},
        }}}));
        let good =
            json!({"kind": "a", "size": null, "parts": [{"type": "text", "text": "x"}, {"type": "other"}]});
        assert_eq!(description.complaints("Thing", &good), Vec::<String>::new());
        let wrong = [
            (json!({"kind": "a"}), "$.parts is missing"),
            (json!({"kind": "b", "parts": []}), "$.kind is \"b\", not one of"),
            (json!({"kind": "a", "parts": [], "size": 1.5}), "$.size is 1.5, not integer"),
            (json!({"kind": "a", "parts": [], "more": 1}), "$.more is unknown"),
            (json!({"kind": "a", "parts": {}}), "$.parts is {}, not array"),
            (json!({"kind": "a", "parts": [{"type": "text"}]}), "$.parts[0].text is missing"),
            (
                json!({"kind": "a", "parts": [{"type": "text", "text": 7}]}),
                "$.parts[0].text is 7, not string",
            ),
        ];
        for (json, complaint) in wrong {
            let complaints = description.complaints("Thing", &json).join("; ");
            assert!(complaints.contains(complaint), "{json}: {complaints}");
        }
    }
}
