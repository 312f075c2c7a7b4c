//! The form of the files: one exchange each, as JSON.

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Fidelity, Recording};

/// A row of `MANIFEST.json`.
#[derive(Deserialize)]
struct Row {
    file: String,
    provider: String,
    endpoint: String,
    streaming: bool,
    status: u16,
    fidelity: String,
}

/// What both a recording and a fixture hold.
#[derive(Deserialize)]
struct Exchange<'a> {
    #[serde(borrow)]
    request_body: Option<&'a RawValue>,
    #[serde(default)]
    response_headers: BTreeMap<String, Value>,
    response_body_text: Option<String>,
    /// A fixture's stream, one event each.
    response_body: Option<Vec<String>>,
}

/// What a fixture says of itself; a recording's manifest says it for it.
#[derive(Deserialize)]
struct FixtureHead {
    provider: String,
    endpoint: String,
    streaming: bool,
    status: u16,
}

/// All recordings of a folder with a `MANIFEST.json`.
pub(super) fn load_recordings(dir: &Path) -> Result<Vec<Recording>, String> {
    let manifest = read(&dir.join("MANIFEST.json"))?;
    let mut rows: Vec<Row> =
        serde_json::from_str(&manifest).map_err(|error| format!("MANIFEST.json: {error}"))?;
    rows.sort_by(|one, other| one.file.cmp(&other.file));
    rows.into_iter().map(|row| load_recording(dir, row)).collect()
}

/// All fixtures of a folder, sorted by file.
pub(crate) fn load_fixtures(dir: &Path) -> Result<Vec<Recording>, String> {
    let mut fixtures = Vec::new();
    let entries = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            fixtures.push(load_fixture(&path)?);
        }
    }
    fixtures.sort_by(|one: &Recording, other| one.file.cmp(&other.file));
    Ok(fixtures)
}

fn load_recording(dir: &Path, row: Row) -> Result<Recording, String> {
    let text = read(&dir.join(&row.file))?;
    let fidelity = match row.fidelity.as_str() {
        "raw" => Fidelity::Raw,
        "normalised" => Fidelity::Normalised,
        "reparsed" => Fidelity::Reparsed,
        "response-only" | "response_only" => Fidelity::ResponseOnly,
        other => return Err(format!("{}: unknown fidelity {other:?}", row.file)),
    };
    let head = FixtureHead {
        provider: row.provider,
        endpoint: row.endpoint,
        streaming: row.streaming,
        status: row.status,
    };
    exchange(row.file, &text, head, fidelity)
}

fn load_fixture(path: &Path) -> Result<Recording, String> {
    let text = read(path)?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let head = serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
    exchange(file, &text, head, Fidelity::Raw)
}

fn exchange(file: String, text: &str, head: FixtureHead, fidelity: Fidelity) -> Result<Recording, String> {
    let exchange: Exchange<'_> = serde_json::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    let body = match (exchange.response_body_text, exchange.response_body) {
        (Some(body), None) => body,
        (None, Some(events)) => events.concat(),
        _ => return Err(format!("{file}: one of response_body_text and response_body is needed")),
    };
    let response_headers = headers(&exchange.response_headers);
    let recorded_type = response_headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type =
        recorded_type.map_or_else(|| guess_content_type(&body).to_owned(), |(_, value)| value.clone());
    let request_body = exchange.request_body.map(|raw| raw.get().to_owned());
    let upstream_model = request_body.as_deref().and_then(model_of).unwrap_or_default();
    Ok(Recording {
        file,
        provider: head.provider,
        endpoint: head.endpoint,
        streaming: head.streaming,
        status: head.status,
        fidelity,
        request_body,
        response_headers,
        body: Bytes::from(body),
        upstream_model,
        content_type,
    })
}

/// A header's value is a text or, where it was repeated, a list of texts.
fn headers(recorded: &BTreeMap<String, Value>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, value) in recorded {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            headers.push((name.clone(), text));
        }
    }
    headers
}

/// What a body looks like whose type was not recorded.
pub(super) fn guess_content_type(body: &str) -> &'static str {
    let fields = ["data:", "event:", "id:", "retry:", ":"];
    let start = body.trim_start_matches('\u{feff}').trim_start();
    if fields.iter().any(|field| start.starts_with(field)) { "text/event-stream" } else { "application/json" }
}

fn model_of(request: &str) -> Option<String> {
    let request: Value = serde_json::from_str(request).ok()?;
    request.get("model")?.as_str().map(str::to_owned)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
