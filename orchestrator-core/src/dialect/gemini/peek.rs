//! What one scan of a request tells, and the few fields that are rewritten in it. Which model is asked and whether its answer
//! streams is said by the path.

use bytes::Bytes;

use crate::{
    call::Facts,
    dialect::{
        Edits,
        json::must_be,
        length::whole_number,
        openai::peek::must_be_utf8,
        scan::{self, Object},
        seal,
        splice::{Edit, quoted, splice},
    },
    error::{Error, Result},
};

/// What is looked for in all of the body: sealed texts, pictures, and each name of a schema for the answer.
const WORDS: [&str; 6] = [
    seal::MARK_BASE64,
    "image/",
    "responseSchema\"",
    "response_schema\"",
    "responseJsonSchema\"",
    "response_json_schema\"",
];

/// Reads the facts of a request for content.
pub(super) fn peek(body: &Bytes, max_depth: usize) -> Result<Facts> {
    let object = utf8_object(&WORDS, body, max_depth)?;
    match object.get_non_null("contents") {
        None => return Err(Error::invalid("contents".to_owned(), "`contents` is missing")),
        Some(json) if !matches!(json.first(), Some(b'[' | b'{')) => {
            return Err(must_be("contents", "an array"));
        }
        Some(_) => {}
    }
    let generation =
        ["generationConfig", "generation_config"].iter().find_map(|name| object.get_non_null(name));
    let generation = generation.and_then(|json| Object::scan(json, max_depth).ok());
    let number = |names: &[&str]| whole_number(generation.as_ref()?, names);
    Ok(Facts {
        model: model(&object)?,
        max_output: number(&["maxOutputTokens", "max_output_tokens"]),
        answers: number(&["candidateCount", "candidate_count"]),
        tools: filled_array(&object, "tools")?,
        structured: (2..WORDS.len()).any(|name| object.has(name)),
        images: object.has(1),
        sealed: object.has(0),
        body_bytes: body.len(),
        ..Facts::default()
    })
}

/// The body as an object, if it is UTF-8. `words`: what is looked for in it on the way.
pub(in crate::dialect) fn utf8_object<'a>(
    words: &[&str],
    body: &'a Bytes,
    max_depth: usize,
) -> Result<Object<'a>> {
    must_be_utf8(body)?;
    Object::scan_for(words, body, max_depth)
}

/// The model that a body names beside the path, which wins.
pub(in crate::dialect) fn model(object: &Object<'_>) -> Result<String> {
    let Some(json) = object.get_non_null("model") else { return Ok(String::new()) };
    let model = scan::string(json).ok_or_else(|| must_be("model", "a string"))?;
    Ok(model.strip_prefix("models/").unwrap_or(&model).to_owned())
}

fn filled_array(object: &Object<'_>, name: &str) -> Result<bool> {
    let Some(json) = object.get_non_null(name) else { return Ok(false) };
    match json.first() {
        Some(b'[') => Ok(json[1..].trim_ascii_start().first() != Some(&b']')),
        Some(b'{') => Ok(true),
        _ => Err(must_be(name, "an array")),
    }
}

/// Rewrites the model where the body names it, and sets the provider's overrides.
pub(in crate::dialect) fn splice_model(body: &Bytes, edits: &Edits<'_>) -> Result<Bytes> {
    let object = Object::scan(body, usize::MAX)?;
    let mut list: Vec<Edit> = edits
        .overrides
        .iter()
        .filter(|(name, _)| name != "model")
        .map(|(name, json)| Edit::Set(name.clone(), json.clone()))
        .collect();
    list.extend(object.get("model").map(|named| Edit::Set("model".to_owned(), renamed(named, edits.model))));
    if list.is_empty() { Ok(body.clone()) } else { splice(body, &list) }
}

/// The provider's name of a model in the form that the body has: most say `models/NAME`.
pub(in crate::dialect) fn renamed(named: &[u8], model: &str) -> String {
    let qualified = model.starts_with("models/") || model.starts_with("tunedModels/");
    if named.starts_with(b"\"models/") && !qualified {
        quoted(&format!("models/{model}"))
    } else {
        quoted(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scan_tells_what_admission_and_routing_need() {
        let body = r#"{"model":"models/m","contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":""}}]}],
            "tools":[{"functionDeclarations":[]}],"generationConfig":{"response_schema":{},"maxOutputTokens":7,"candidateCount":2}}"#;
        let facts = peek(&Bytes::from_static(body.as_bytes()), 128).unwrap();
        let expected = Facts {
            model: "m".into(),
            tools: true,
            structured: true,
            images: true,
            max_output: Some(7),
            answers: Some(2),
            body_bytes: body.len(),
            ..Facts::default()
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn wrong_fields_are_refused_by_name() {
        let refusals = [
            "[]",
            "{}",
            r#"{"contents":"hi"}"#,
            r#"{"contents":[],"model":1}"#,
            r#"{"contents":[],"tools":"all"}"#,
        ];
        let said = refusals.map(|body| peek(&Bytes::from_static(body.as_bytes()), 128).unwrap_err().message);
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn only_a_model_that_the_body_names_is_rewritten() {
        let edits = Edits { model: "up", include_usage: false, overrides: &[], taken: &[], outline: None };
        let spliced =
            |body: &'static str| splice_model(&Bytes::from_static(body.as_bytes()), &edits).unwrap();
        assert_eq!(spliced(r#"{ "contents" : [1.0] }"#), r#"{ "contents" : [1.0] }"#);
        assert_eq!(
            spliced(r#"{"model": "models/m","contents":[]}"#),
            r#"{"model": "models/up","contents":[]}"#
        );
        assert_eq!(spliced(r#"{"model": "m"}"#), r#"{"model": "up"}"#);
        let overrides = [("safetySettings".to_owned(), "[]".to_owned())];
        let edits = Edits { overrides: &overrides, ..edits };
        assert_eq!(splice_model(&Bytes::from_static(b"{}"), &edits).unwrap(), r#"{"safetySettings":[]}"#);
    }
}
