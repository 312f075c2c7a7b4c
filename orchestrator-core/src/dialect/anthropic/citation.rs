//! Where a text's claims come from: <https://docs.anthropic.com/en/docs/build-with-claude/citations>. Anthropic says which words a
//! claim is by splitting the text into blocks, so the hub's span is unknown.

use serde_json::Value;

use super::OWN;
use crate::{chat::Citation, dialect::json::ObjectWriter};

/// Reads one citation.
pub(super) fn read(json: &str) -> Option<Citation> {
    let value: Value = serde_json::from_str(json).ok()?;
    let word = |name: &str| value[name].as_str().filter(|word| !word.is_empty()).map(str::to_owned);
    value.as_object()?;
    Some(Citation {
        url: word("url").or_else(|| word("source")),
        title: word("title").or_else(|| word("document_title")),
        cited_text: word("cited_text"),
        span: None,
        native: Some((OWN.to_owned(), json.to_owned())),
    })
}

/// Writes one: Anthropic's own as it came, another's as a page of the web.
pub(super) fn write(citation: &Citation) -> String {
    if let Some((dialect, json)) = &citation.native
        && dialect == OWN
    {
        return json.clone();
    }
    let mut out = ObjectWriter::new();
    out.string("type", "web_search_result_location");
    out.string("url", citation.url.as_deref().unwrap_or_default());
    out.string("title", citation.title.as_deref().unwrap_or_default());
    out.string("cited_text", citation.cited_text.as_deref().unwrap_or_default());
    out.string("encrypted_index", "");
    out.finish()
}
