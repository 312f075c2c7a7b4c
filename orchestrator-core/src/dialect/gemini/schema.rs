//! From Gemini's own schema language, a subset of OpenAPI 3.0 (<https://ai.google.dev/api/caching#Schema>), to JSON Schema, which
//! every other vendor speaks: types are in lower case, `nullable` is one more type. The order of properties survives: models
//! answer in it.

use crate::dialect::{
    json::{ObjectWriter, array, array_at},
    scan::{self, Object},
    splice::quoted,
};

/// Deeper schemas stay as they are.
const MAX_DEPTH: usize = 64;

/// The types by their numbers, which old clients send (`Schema.Type`).
const NUMBERED: [&str; 8] = ["", "string", "number", "integer", "boolean", "array", "object", "null"];

/// A schema of Gemini's as a JSON Schema. What is none stays as it is.
pub(super) fn to_json_schema(schema: &str) -> String {
    convert(schema, 0)
}

fn convert(schema: &str, depth: usize) -> String {
    let Ok(object) = Object::scan(schema.as_bytes(), usize::MAX) else { return schema.to_owned() };
    if depth == MAX_DEPTH {
        return schema.to_owned();
    }
    let nullable = object.get("nullable") == Some(b"true");
    let mut out = ObjectWriter::new();
    for (key, json) in scan::entries(schema).unwrap_or_default() {
        match key.as_ref() {
            "type" | "type_" => out.raw("type", &kind(json, nullable)),
            "nullable" => {}
            "properties" => out.raw("properties", &each_member(json, depth)),
            "items" | "additionalProperties" => out.raw(&key, &convert(json, depth + 1)),
            "anyOf" | "any_of" => out.raw("anyOf", &each_element(json, depth)),
            key => out.raw(key, json),
        }
    }
    out.finish()
}

fn kind(json: &str, nullable: bool) -> String {
    let name = match json.parse::<usize>() {
        Ok(number) => NUMBERED.get(number).copied().unwrap_or_default().to_owned(),
        Err(_) => match scan::string(json.as_bytes()) {
            Some(name) => name.to_ascii_lowercase(),
            None => return json.to_owned(),
        },
    };
    if nullable { format!(r#"[{},"null"]"#, quoted(&name)) } else { quoted(&name) }
}

fn each_member(json: &str, depth: usize) -> String {
    let Ok(members) = scan::entries(json) else { return json.to_owned() };
    let mut out = ObjectWriter::new();
    for (name, schema) in members {
        out.raw(&name, &convert(schema, depth + 1));
    }
    out.finish()
}

fn each_element(json: &str, depth: usize) -> String {
    let Ok(elements) = array_at(json, "") else { return json.to_owned() };
    let elements: Vec<String> = elements.into_iter().map(|element| convert(element, depth + 1)).collect();
    array(&elements)
}

/// Whether a schema of arguments allows none, which Gemini wants to be told by leaving it out.
pub(super) fn allows_nothing(schema: &str) -> bool {
    let Ok(object) = Object::scan(schema.as_bytes(), usize::MAX) else { return false };
    let empty = |name: &str| object.get_non_null(name).is_none_or(is_empty_object);
    let closed = matches!(object.get("additionalProperties"), None | Some(b"false"));
    let combined = ["$ref", "anyOf", "oneOf", "allOf", "patternProperties"];
    empty("properties") && closed && combined.iter().all(|name| object.get(name).is_none())
}

fn is_empty_object(json: &[u8]) -> bool {
    Object::scan(json, usize::MAX).is_ok_and(|object| object.members().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_null_become_json_schemas_own_and_the_order_stays() {
        let schema = r#"{"type":"OBJECT","properties":{"z":{"type":"STRING","nullable":true,"enum":["A"]},
            "type":{"type_":6,"properties":{"n":{"type":1}}},"a":{"type":"ARRAY","items":{"anyOf":[{"type":"INTEGER"},{"type":"NUMBER"}]}}},
            "required":["z"],"propertyOrdering":["z","type","a"]}"#;
        insta::assert_snapshot!(to_json_schema(schema));
        for odd in ["true", "7", r#"{"type":{"a":1}}"#] {
            assert_eq!(to_json_schema(odd), odd);
        }
    }

    #[test]
    fn a_schema_without_arguments_is_told_from_an_open_one() {
        for none in [
            "{}",
            r#"{"type":"object"}"#,
            r#"{"type":"object","properties":{ },"additionalProperties":false,"required":[]}"#,
        ] {
            assert!(allows_nothing(none), "{none}");
        }
        for some in [
            r#"{"properties":{"a":{}}}"#,
            r#"{"type":"object","additionalProperties":true}"#,
            r##"{"$ref":"#/$defs/a"}"##,
            "true",
        ] {
            assert!(!allows_nothing(some), "{some}");
        }
    }

    #[test]
    fn a_bottomless_schema_is_no_stack_overflow() {
        let deep = format!("{}1{}", r#"{"items":"#.repeat(5000), "}".repeat(5000));
        assert_eq!(to_json_schema(&deep).len(), deep.len());
    }
}
