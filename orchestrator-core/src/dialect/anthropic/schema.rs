//! Schemas of an answer as Anthropic takes them: every object says that it has no other members
//! (<https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs>). OpenAI's and Anthropic's SDKs say so by themselves;
//! schemas of Gemini's callers cannot.

use crate::{
    dialect::{
        json::{ObjectWriter, array, array_at},
        scan,
    },
    error::Result,
};

/// Members whose members are schemas.
const NAMED: [&str; 3] = ["properties", "$defs", "definitions"];
/// Members that are arrays of schemas.
const LISTS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// The schema with `"additionalProperties":false` in every object that says nothing of it.
pub(super) fn closed(schema: &str) -> Result<String> {
    if !schema.starts_with('{') {
        return Ok(schema.to_owned());
    }
    let mut out = ObjectWriter::new();
    let (mut is_object, mut is_closed) = (false, false);
    for (name, json) in scan::entries(schema)? {
        match &*name {
            "additionalProperties" => is_closed = true,
            "type" => is_object |= json.contains("\"object\""),
            _ => is_object |= name == "properties",
        }
        let inner = match &*name {
            _ if NAMED.contains(&&*name) && json.starts_with('{') => members(json)?,
            _ if LISTS.contains(&&*name) && json.starts_with('[') => {
                let list = array_at(json, &name)?;
                array(&list.into_iter().map(closed).collect::<Result<Vec<_>>>()?)
            }
            "items" => closed(json)?,
            _ => json.to_owned(),
        };
        out.raw(&name, &inner);
    }
    if is_object && !is_closed {
        out.plain("additionalProperties", false);
    }
    Ok(out.finish())
}

fn members(schemas: &str) -> Result<String> {
    let mut out = ObjectWriter::new();
    for (name, json) in scan::entries(schemas)? {
        out.raw(&name, &closed(json)?);
    }
    Ok(out.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_closed_unless_it_says_what_else_it_holds() {
        let schema = r#"{"type":"object","properties":{"type":{"type":["object","null"],"properties":{}},
            "list":{"type":"array","items":{"type":"object"}},"any":{"anyOf":[{"properties":{"a":true}},{"enum":["object"]}]},
            "open":{"type":"object","additionalProperties":{"type":"string"}}},"$defs":{"d":{"type":"object"}},"required":["type"]}"#;
        assert_eq!(
            closed(schema).unwrap(),
            r#"{"type":"object","properties":{"type":{"type":["object","null"],"properties":{},"additionalProperties":false},"list":{"type":"array","items":{"type":"object","additionalProperties":false}},"any":{"anyOf":[{"properties":{"a":true},"additionalProperties":false},{"enum":["object"]}]},"open":{"type":"object","additionalProperties":{"type":"string"}}},"$defs":{"d":{"type":"object","additionalProperties":false}},"required":["type"],"additionalProperties":false}"#
        );
    }
}
