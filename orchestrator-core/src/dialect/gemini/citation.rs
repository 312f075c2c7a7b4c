//! Where an answer's claims come from, both ways: `groundingMetadata` (<https://ai.google.dev/api/generate-content#GroundingMetadata>) and
//! `citationMetadata`. Gemini's places are bytes of a text, the hub's are characters.

use serde_json::Value;

use crate::{
    chat::Citation,
    dialect::{
        json::{ObjectWriter, array},
        scan,
        splice::quoted,
    },
};

/// The name of the dialect in native citations.
const NATIVE: &str = "gemini";

/// Reads what a candidate cites for `text`. The first citation carries the metadata as it came.
pub(super) fn read(grounding: Option<&str>, attribution: Option<&str>, text: &str) -> Vec<Citation> {
    let mut citations = Vec::new();
    for (name, json) in [("groundingMetadata", grounding), ("citationMetadata", attribution)] {
        let Some(json) = json else { continue };
        let Ok(value) = serde_json::from_str::<Value>(json) else { continue };
        let mut read =
            if name == "groundingMetadata" { supports(&value, text) } else { sources(&value, text) };
        if let Some(first) = read.first_mut() {
            first.native = Some((NATIVE.to_owned(), format!("{{{}:{json}}}", quoted(name))));
        }
        citations.extend(read);
    }
    citations
}

fn word(value: &Value) -> Option<String> {
    value.as_str().filter(|word| !word.is_empty()).map(str::to_owned)
}

/// A chunk is a page of the web, a place on the map, or a stretch of a document that was retrieved.
fn chunk(chunk: &Value) -> Citation {
    let source =
        ["web", "maps", "retrievedContext"].iter().map(|kind| &chunk[*kind]).find(|it| it.is_object());
    let source = source.unwrap_or(&Value::Null);
    Citation {
        url: word(&source["uri"]),
        title: word(&source["title"]),
        cited_text: word(&source["text"]),
        ..Citation::default()
    }
}

/// One citation for each chunk of each support; where nothing says what a chunk supports, one for each chunk.
fn supports(metadata: &Value, text: &str) -> Vec<Citation> {
    let chunks: Vec<Citation> =
        metadata["groundingChunks"].as_array().into_iter().flatten().map(chunk).collect();
    let mut citations = Vec::new();
    for support in metadata["groundingSupports"].as_array().into_iter().flatten() {
        let segment = &support["segment"];
        let span = characters(text, segment["startIndex"].as_u64(), segment["endIndex"].as_u64());
        for index in support["groundingChunkIndices"].as_array().into_iter().flatten() {
            let place = index.as_u64().and_then(|index| usize::try_from(index).ok());
            let Some(chunk) = place.and_then(|place| chunks.get(place)) else { continue };
            citations.push(Citation { span, ..chunk.clone() });
        }
    }
    if citations.is_empty() { chunks } else { citations }
}

/// `citationSources`, which Vertex calls `citations`.
fn sources(metadata: &Value, text: &str) -> Vec<Citation> {
    let lists = [&metadata["citationSources"], &metadata["citations"]];
    let sources = lists.into_iter().filter_map(Value::as_array).flatten();
    sources
        .map(|source| Citation {
            url: word(&source["uri"]),
            title: word(&source["title"]),
            span: characters(text, source["startIndex"].as_u64(), source["endIndex"].as_u64()),
            ..Citation::default()
        })
        .collect()
}

/// A place in bytes as one in characters; a beginning that is not said is 0.
fn characters(text: &str, start: Option<u64>, end: Option<u64>) -> Option<(u32, u32)> {
    let character = |byte: u64| {
        let before = text.get(..usize::try_from(byte).ok()?)?;
        u32::try_from(before.chars().count()).ok()
    };
    Some((character(start.unwrap_or(0))?, character(end?)?))
}

fn byte(text: &str, character: u32) -> usize {
    text.char_indices().nth(character as usize).map_or(text.len(), |(at, _)| at)
}

/// The members of a candidate that say what its `text` cites, name and JSON.
pub(super) fn write(citations: &[Citation], text: &str) -> Vec<(String, String)> {
    if citations.is_empty() {
        return Vec::new();
    }
    let own: Vec<&String> = citations.iter().filter_map(own_native).collect();
    if own.is_empty() {
        return vec![("groundingMetadata".to_owned(), grounding(citations, text))];
    }
    let mut members = Vec::new();
    for json in own {
        for (name, value) in scan::entries(json).unwrap_or_default() {
            members.push((name.into_owned(), value.to_owned()));
        }
    }
    members
}

fn own_native(citation: &Citation) -> Option<&String> {
    let (dialect, json) = citation.native.as_ref()?;
    (dialect == NATIVE).then_some(json)
}

fn grounding(citations: &[Citation], text: &str) -> String {
    let mut chunks: Vec<String> = Vec::new();
    let mut supports: Vec<String> = Vec::new();
    for citation in citations {
        let mut web = ObjectWriter::new();
        web.optional_string("uri", citation.url.as_deref());
        web.optional_string("title", citation.title.as_deref());
        let chunk = format!("{{\"web\":{}}}", web.finish());
        let place = chunks.iter().position(|known| *known == chunk).unwrap_or_else(|| {
            chunks.push(chunk);
            chunks.len() - 1
        });
        if let Some((start, end)) = citation.span {
            let (start, end) = (byte(text, start), byte(text, end));
            let mut segment = ObjectWriter::new();
            segment.plain("startIndex", start);
            segment.plain("endIndex", end);
            segment.optional_string("text", text.get(start..end));
            let mut support = ObjectWriter::new();
            support.raw("segment", &segment.finish());
            support.raw("groundingChunkIndices", &format!("[{place}]"));
            supports.push(support.finish());
        }
    }
    let mut out = ObjectWriter::new();
    out.raw("groundingChunks", &array(&chunks));
    if !supports.is_empty() {
        out.raw("groundingSupports", &array(&supports));
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Grüße aus Bern.";
    const GROUNDING: &str = r#"{"webSearchQueries":["bern"],"groundingChunks":[{"web":{"uri":"https://a.example","title":"A"}},{"web":{"uri":"https://b.example"}}],
        "groundingSupports":[{"segment":{"endIndex":7,"text":"Grüße"},"groundingChunkIndices":[0,1]},{"segment":{"startIndex":12,"endIndex":16},"groundingChunkIndices":[0,9]}]}"#;

    #[test]
    fn each_support_cites_its_chunks_at_a_place_in_characters() {
        let citations = read(Some(GROUNDING), None, TEXT);
        let said: Vec<_> =
            citations.iter().map(|citation| (citation.url.as_deref(), citation.span)).collect();
        assert_eq!(
            said,
            [
                (Some("https://a.example"), Some((0, 5))),
                (Some("https://b.example"), Some((0, 5))),
                (Some("https://a.example"), Some((10, 14))),
            ]
        );
        assert_eq!(write(&citations, TEXT), [("groundingMetadata".to_owned(), GROUNDING.to_owned())]);
    }

    #[test]
    fn what_another_vendor_cites_is_written_from_what_all_know() {
        let mut citations = read(Some(GROUNDING), None, TEXT);
        citations[0].native = Some(("anthropic".to_owned(), "{}".to_owned()));
        let [(name, json)] = <[_; 1]>::try_from(write(&citations, TEXT)).unwrap();
        assert_eq!(name, "groundingMetadata");
        let mut again = read(Some(&json), None, TEXT);
        again[0].native = None;
        citations[0].native = None;
        assert_eq!(again, citations);
    }

    #[test]
    fn attributions_and_bare_chunks_cite_too() {
        let attributed = r#"{"citationSources":[{"startIndex":0,"endIndex":400,"uri":"https://c.example","license":"mit"}]}"#;
        let citations =
            read(Some(r#"{"groundingChunks":[{"maps":{"uri":"m","title":"M"}}]}"#), Some(attributed), TEXT);
        let urls: Vec<_> =
            citations.iter().map(|citation| (citation.url.as_deref().unwrap(), citation.span)).collect();
        assert_eq!(urls, [("m", None), ("https://c.example", None)]);
        assert_eq!(write(&citations, TEXT)[1].1, attributed);
    }
}
