//! Citations on Chat: OpenAI's `annotations`, and the lists that Perplexity puts beside an answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    chat::Citation,
    dialect::{
        Dialect,
        json::{ObjectWriter, checked},
    },
};

/// How a citation that came as Chat has it is marked.
const NATIVE: Dialect = Dialect::OpenAiChat;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotation {
    url_citation: Option<UrlCitation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UrlCitation {
    url: Option<String>,
    title: Option<String>,
    /// OpenRouter: the source's words.
    content: Option<String>,
    start_index: Option<u32>,
    end_index: Option<u32>,
}

/// Reads `annotations`. Those of unknown kinds are kept as they are.
pub(crate) fn annotations(json: &str) -> Vec<Citation> {
    let mut citations = Vec::new();
    for raw in serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default() {
        let annotation = serde_json::from_str::<Annotation>(raw.get()).unwrap_or_default();
        let native = Some((NATIVE.name().to_owned(), raw.get().to_owned()));
        let source = annotation.url_citation.unwrap_or_default();
        citations.push(Citation {
            url: source.url,
            title: source.title.filter(|title| !title.is_empty()),
            cited_text: source.content.filter(|text| !text.is_empty()),
            span: source.start_index.zip(source.end_index),
            native,
        });
    }
    citations
}

/// Reads Perplexity's `citations` (addresses) and `search_results` (with titles). The claims' places are marks in the text.
pub(crate) fn sources(citations: Option<&str>, results: Option<&str>) -> Vec<Citation> {
    #[derive(Debug, Deserialize)]
    struct Source {
        url: String,
        title: Option<String>,
    }
    let results = results.and_then(|json| serde_json::from_str::<Vec<Source>>(json).ok()).unwrap_or_default();
    let urls = citations.and_then(|json| serde_json::from_str::<Vec<String>>(json).ok());
    let urls = urls.unwrap_or_else(|| results.iter().map(|result| result.url.clone()).collect());
    let title =
        |url: &str| results.iter().find(|result| result.url == url).and_then(|result| result.title.clone());
    urls.into_iter()
        .map(|url| Citation { title: title(&url), url: Some(url), ..Citation::default() })
        .collect()
}

/// Whether it came as Chat has it.
pub(crate) fn is_own(citation: &Citation) -> bool {
    citation.native.as_ref().is_some_and(|(dialect, _)| dialect == NATIVE.name())
}

/// Writes an annotation. `text` is where the cited text stands among what was said, in characters: what a vendor says by splitting
/// its text, Chat says in numbers. Chat knows web pages alone, so a source without an address has an empty one.
pub(crate) fn write(citation: &Citation, text: (u32, u32)) -> String {
    if let Some((dialect, json)) = &citation.native
        && dialect == NATIVE.name()
        && checked(json, "citation").is_ok()
    {
        return json.clone();
    }
    let (start, end) = citation.span.unwrap_or(text);
    let mut source = ObjectWriter::new();
    source.plain("start_index", start);
    source.plain("end_index", end);
    source.string("url", citation.url.as_deref().unwrap_or_default());
    source.string("title", citation.title.as_deref().unwrap_or_default());
    source.optional_string("content", citation.cited_text.as_deref());
    let mut out = ObjectWriter::new();
    out.string("type", "url_citation");
    out.raw("url_citation", &source.finish());
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_come_back_as_they_were() {
        let json = r#"[{"type":"url_citation","url_citation":{"end_index":9,"start_index":2,"url":"https://a.test","title":"A"}},{"type":"file_citation","index":1.0}]"#;
        let citations = annotations(json);
        assert_eq!((citations[0].span, citations[0].title.as_deref()), (Some((2, 9)), Some("A")));
        let written: Vec<String> = citations.iter().map(|citation| write(citation, (0, 0))).collect();
        assert_eq!(format!("[{}]", written.join(",")), json);
    }

    #[test]
    fn another_vendors_citation_becomes_an_annotation() {
        let citation = Citation {
            title: Some("Handbook".into()),
            cited_text: Some("Six.".into()),
            native: Some(("elsewhere".into(), "{}".into())),
            ..Citation::default()
        };
        insta::assert_snapshot!(write(&citation, (3, 8)), @r#"{"type":"url_citation","url_citation":{"start_index":3,"end_index":8,"url":"","title":"Handbook","content":"Six."}}"#);
    }

    #[test]
    fn perplexitys_lists_are_citations_without_places() {
        let results = r#"[{"title":"A","url":"https://a.test","date":null},{"url":"https://c.test"}]"#;
        let both = sources(Some(r#"["https://a.test","https://b.test"]"#), Some(results));
        let seen: Vec<_> = both.iter().map(|it| (it.url.as_deref().unwrap(), it.title.as_deref())).collect();
        assert_eq!(seen, [("https://a.test", Some("A")), ("https://b.test", None)]);
        assert_eq!(sources(None, Some(results)).len(), 2);
        assert_eq!(sources(Some("{}"), None), []);
    }
}
