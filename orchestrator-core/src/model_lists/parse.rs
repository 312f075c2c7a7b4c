//! Reads an answer to `GET {base_url}/models`.
//!
//! OpenAI: `{"object":"list","data":[{"id":"gpt-4o", …}]}` (<https://platform.openai.com/docs/api-reference/models/list>).
//! Ollama's own list is `{"models":[{"name":"llama3:8b", …}]}`
//! (<https://github.com/ollama/ollama/blob/main/docs/api.md#list-local-models>), Gemini's the same with `models/` before each name
//! (<https://ai.google.dev/api/models>), llama.cpp sends both at once, and Together AI the bare array.

use serde::Deserialize;
use serde_json::Value;

use crate::catalog::listed::ModelList;

#[derive(Deserialize)]
struct Wrapped {
    data: Option<Vec<Item>>,
    models: Option<Vec<Item>>,
}

/// One model. Whatever is no text there is no name.
#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    name: Value,
}

/// The models that an answer names.
///
/// Errors: what is wrong with it, without a word of its content.
pub(super) fn parse(body: &[u8]) -> Result<ModelList, &'static str> {
    const NO_LIST: &str = "the answer is no list of models";
    let bare = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let (items, by_name) = if bare {
        (serde_json::from_slice(body).ok(), false)
    } else {
        let wrapped: Wrapped = serde_json::from_slice(body).map_err(|_| NO_LIST)?;
        let by_name = wrapped.data.is_none();
        (wrapped.data.or(wrapped.models), by_name)
    };
    let items: Vec<Item> = items.ok_or(NO_LIST)?;
    let names = items.into_iter().filter_map(|item| match if by_name { item.name } else { item.id } {
        // Gemini's names stand behind their collection.
        Value::String(name) => Some(name.strip_prefix("models/").map_or(name.clone(), str::to_owned)),
        _ => None,
    });
    Ok(ModelList::new(names))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(body: &str) -> String {
        match parse(body.as_bytes()) {
            Ok(list) => list.names().collect::<Vec<_>>().join(" "),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn every_shape_that_servers_send_gives_its_names_and_nothing_else_does() {
        let no_list = "error: the answer is no list of models";
        let table = [
            (r#"{"object":"list","data":[{"id":"b","object":"model","created":1},{"id":"a"}]}"#, "a b"),
            (r#"{"models":[{"name":"llama3:8b","model":"llama3:8b"}]}"#, "llama3:8b"),
            (
                r#"{"models":[{"name":"models/gemini-3-flash","version":"3"}],"nextPageToken":"x"}"#,
                "gemini-3-flash",
            ),
            (r#"{"models":[{"name":"x.gguf"}],"object":"list","data":[{"id":"x"}]}"#, "x"),
            (r#" [{"id":"meta/llama","name":"Llama"}]"#, "meta/llama"),
            (r#"{"data":[{"id":7},{"id":null},{},{"id":"kept"}]}"#, "kept"),
            (r#"{"data":[]}"#, ""),
            (r#"{"data":null,"models":null}"#, no_list),
            (r#"{"error":{"message":"no"}}"#, no_list),
            (r#"{"data":{"id":"a"}}"#, no_list),
            (r#"{"data":[{"id":"a"}"#, no_list),
            (r#"["a"]"#, no_list),
            ("<html></html>", no_list),
            ("", no_list),
        ];
        for (body, expected) in table {
            assert_eq!(names(body), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_is_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }
    }
}
