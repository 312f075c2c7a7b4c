//! Every recorded answer to every caller: read by somebody who shares no code with the product, decoded, written in each dialect
//! of chat, and read again. What both readers saw must be the same.
//!
//! The counts are kept in `docs/MATRIX.md`; `UPDATE_MATRIX=1` writes them anew.

mod anthropic;
mod chat;
mod gemini;
mod responses;
pub(super) mod said;

use std::{collections::BTreeMap, fmt::Write as _, panic::catch_unwind, path::Path};

use bytes::Bytes;
use orchestrator_testkit::{
    fixtures,
    recorded::{self, Recording},
};
use serde_json::Value;

use crate::{
    call::Facts,
    chat::OpenChoices,
    dialect::{Dialect, ErrorAnswer, HubReply, Operation},
};
use said::{FEATURES, Said, Shape, compare};

/// The dialects that chat is spoken in.
pub(super) fn chat_dialects() -> impl Iterator<Item = Dialect> {
    Dialect::ALL.into_iter().filter(|dialect| dialect.operation() == Operation::Chat)
}

/// The dialect that a recording's provider spoke, if it is one of chat and spoken here.
pub(super) fn spoken(recording: &Recording) -> Option<Dialect> {
    let name = match recording.endpoint.as_str() {
        "chat_completions" => "openai_chat",
        "responses" => "openai_responses",
        "messages" | "vertex_raw_predict" => "anthropic",
        "generateContent" | "streamGenerateContent" => "gemini",
        _ => return None,
    };
    Dialect::from_name(name)
}

/// The fixtures, and the recordings where they are there.
fn exchanges(everything: bool) -> Vec<(Recording, Dialect)> {
    let mut all = fixtures::load().unwrap();
    if let Some(dir) = recorded::find().filter(|_| everything) {
        all.extend(recorded::load(&dir).unwrap());
    }
    all.into_iter().filter_map(|exchange| spoken(&exchange).map(|dialect| (exchange, dialect))).collect()
}

fn shape(dialect: Dialect) -> Shape {
    let openai = dialect.name().starts_with("openai");
    Shape { choices: ["openai_chat", "gemini"].contains(&dialect.name()), refusals: openai }
}

fn read_whole(dialect: Dialect, body: &[u8]) -> Said {
    let json: Value = serde_json::from_slice(body).unwrap();
    match dialect.name() {
        "openai_chat" => chat::whole(&json),
        "openai_responses" => responses::whole(&json),
        "anthropic" => anthropic::whole(&json),
        "gemini" => gemini::whole(&json),
        other => panic!("nobody reads {other}"),
    }
}

pub(super) fn read_stream(dialect: Dialect, body: &[u8]) -> Said {
    let events = events(body);
    match dialect.name() {
        "openai_chat" => chat::stream(&events),
        "openai_responses" => responses::stream(&events),
        "anthropic" => anthropic::stream(&events),
        "gemini" => gemini::stream(&events),
        other => panic!("nobody reads {other}"),
    }
}

/// Names and data of the events, by the rules of <https://html.spec.whatwg.org/multipage/server-sent-events.html>; of a JSON array,
/// which Gemini streams where nobody asks for events, its elements.
fn events(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    if text.trim_start().starts_with('[') {
        let elements: Vec<Value> = serde_json::from_str(&text).unwrap();
        return elements.into_iter().map(|element| (String::new(), element.to_string())).collect();
    }
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let value = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>().join("\n")
        };
        let data = value("data");
        if !data.is_empty() {
            events.push((value("event"), data));
        }
    }
    events
}

/// A stream's bytes as a provider's events come one by one.
pub(super) fn one_by_one(stream: &Bytes) -> Vec<Bytes> {
    let Ok(text) = std::str::from_utf8(stream) else { return vec![stream.clone()] };
    let end = ["\r\n\r\n", "\n\n", "\r\r"].into_iter().find(|end| text.contains(end)).unwrap_or("\n\n");
    text.split_inclusive(end).map(|event| stream.slice_ref(event.as_bytes())).collect()
}

/// Writes a provider's whole answer for a caller.
fn translate_whole(provider: Dialect, caller: Dialect, body: &Bytes) -> Result<Bytes, String> {
    let reply: HubReply = provider.wire().decode_reply(body).map_err(|error| error.to_string())?;
    caller.wire().encode_reply(&reply).map_err(|error| error.to_string())
}

/// Writes a provider's stream for a caller, as an attempt does: it ends well where the provider's does.
pub(super) fn translate_stream(provider: Dialect, caller: Dialect, pieces: &[Bytes]) -> Bytes {
    let mut decoder = provider.wire().stream_decoder();
    let mut encoder =
        caller.wire().stream_encoder(&Facts { include_usage: true, stream: true, ..Facts::default() });
    let mut out = Vec::new();
    let (mut ended, mut choices) = (false, OpenChoices::default());
    for piece in pieces {
        let batch = decoder.decode(piece);
        choices.saw(&batch.events);
        out.extend_from_slice(&encoder.encode(&batch.events));
        if let Some(error) = batch.signals.error {
            out.extend_from_slice(&caller.wire().render_error_event(&error, "req"));
            return Bytes::from(out);
        }
        if batch.signals.terminator {
            out.extend_from_slice(&encoder.finish());
            return Bytes::from(out);
        }
        ended |= batch.signals.finish.is_some();
    }
    let held_back = decoder.end();
    choices.saw(&held_back);
    out.extend_from_slice(&encoder.encode(&held_back));
    // The connection has ended: that is the answer's end where the provider has said why it stopped, of every choice.
    if ended && choices.is_empty() {
        out.extend_from_slice(&encoder.finish());
    }
    Bytes::from(out)
}

/// Passed and failed, by feature.
type Row = BTreeMap<&'static str, (u32, u32)>;

/// Passed and failed counts by caller and provider and feature; and what failed.
#[derive(Default)]
struct Matrix {
    counts: BTreeMap<(String, String), Row>,
    failures: Vec<String>,
}

impl Matrix {
    fn note(&mut self, caller: Dialect, provider: Dialect, feature: &'static str, passed: bool, file: &str) {
        let row = self.counts.entry((caller.name().to_owned(), provider.name().to_owned())).or_default();
        let cell = row.entry(feature).or_default();
        if passed {
            cell.0 += 1;
        } else {
            cell.1 += 1;
            self.failures.push(format!("{} <- {}: {feature}: {file}", caller.name(), provider.name()));
        }
    }

    fn of(exchanges: &[(Recording, Dialect)]) -> Self {
        let mut matrix = Self::default();
        for (exchange, provider) in exchanges {
            for caller in chat_dialects() {
                if exchange.status == 200 {
                    matrix.answer(exchange, *provider, caller);
                } else {
                    matrix.error(exchange, *provider, caller);
                }
            }
        }
        matrix
    }

    fn answer(&mut self, exchange: &Recording, provider: Dialect, caller: Dialect) {
        let file = &exchange.file;
        let translated = catch_unwind(|| {
            if exchange.streaming {
                let said = read_stream(provider, &exchange.body);
                let written = translate_stream(provider, caller, &one_by_one(&recorded::as_events(exchange)));
                return Some((said, read_stream(caller, &written)));
            }
            let said = read_whole(provider, &exchange.body);
            match translate_whole(provider, caller, &exchange.body) {
                // What is an error under a 200 is no answer.
                Err(_) if said.error => None,
                Err(error) => panic!("{error}"),
                Ok(written) => Some((said, read_whole(caller, &written))),
            }
        });
        let Ok(translated) = translated else {
            self.note(caller, provider, "ending", false, &format!("{file}: it cannot be read"));
            return;
        };
        let Some((said, got)) = translated else {
            self.note(caller, provider, "ending", true, file);
            return;
        };
        let right = compare(&said, &got, shape(caller));
        for (feature, right) in FEATURES.into_iter().zip(right) {
            if let Some(right) = right {
                let short = |said: &Said| format!("{said:?}").chars().take(500).collect::<String>();
                let seen = format!("{file}\n    {}\n    {}", short(&said), short(&got));
                self.note(caller, provider, feature, right, &seen);
            }
        }
    }

    /// The status of the provider, or one of its class; the caller's envelope; the provider's words.
    fn error(&mut self, exchange: &Recording, provider: Dialect, caller: Dialect) {
        let headers = http::HeaderMap::new();
        let status = http::StatusCode::from_u16(exchange.status).unwrap();
        let answer =
            ErrorAnswer { provider: "acme", status, headers: &headers, body: &exchange.body, now: 0 };
        let error = provider.wire().read_error(&answer);
        let rendered = caller.wire().render_error(&error, "req_1");
        let same_class = error.status() / 100 == exchange.status / 100;
        let own = serde_json::from_slice::<Value>(&exchange.body).unwrap_or_default();
        let own = if own.is_array() { own[0].clone() } else { own };
        let places = [&own["error"]["message"], &own["message"], &own["error"], &own["detail"]];
        let words = places.into_iter().find_map(Value::as_str).unwrap_or("acme");
        let told = serde_json::from_slice::<Value>(&rendered).unwrap_or_default();
        let told = if told.is_array() { told[0].clone() } else { told };
        let is_own = provider == caller && rendered == exchange.body;
        let right =
            is_own || (enveloped(caller, &told) && said::text(&told["error"]["message"]).contains(words));
        let file = format!("{} {} -> {}", exchange.status, exchange.file, String::from_utf8_lossy(&rendered));
        self.note(caller, provider, "errors", same_class && right, &file);
    }

    fn table(&self) -> String {
        let mut out = String::from("| caller | provider |");
        let columns: Vec<&str> = FEATURES.into_iter().chain(["errors"]).collect();
        for column in &columns {
            write!(out, " {column} |").unwrap();
        }
        out.push_str("\n|---|---|");
        out.push_str(&"---|".repeat(columns.len()));
        for ((caller, provider), row) in &self.counts {
            write!(out, "\n| `{caller}` | `{provider}` |").unwrap();
            for column in &columns {
                match row.get(column) {
                    Some((passed, failed)) => write!(out, " {passed} / {failed} |").unwrap(),
                    None => out.push_str(" – |"),
                }
            }
        }
        let sum = |pick: &dyn Fn(&(u32, u32)) -> u32| {
            self.counts.values().flat_map(BTreeMap::values).map(pick).sum::<u32>()
        };
        write!(out, "\n\n{} checks passed, {} failed.\n", sum(&|cell| cell.0), sum(&|cell| cell.1)).unwrap();
        out
    }
}

/// Whether an error has the shape that the dialect's vendor publishes.
fn enveloped(dialect: Dialect, told: &Value) -> bool {
    let error = &told["error"];
    match dialect.name() {
        "anthropic" => told["type"] == "error" && error["type"].is_string(),
        "gemini" => error["code"].is_number() && error["status"].is_string(),
        _ => error["type"].is_string(),
    }
}

/// The document's text between two marks.
fn section<'a>(document: &'a str, name: &str) -> &'a str {
    let begin = format!("<!-- {name} -->\n");
    let start = document.find(&begin).map_or(0, |at| at + begin.len());
    let end = document[start..].find("<!-- end -->").map_or(document.len(), |at| start + at);
    &document[start..end]
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether the document is written anew is no setting of the product"
)]
pub(super) fn hold(document: &str, name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    let document = std::fs::read_to_string(&path).unwrap();
    let kept = section(&document, name);
    if std::env::var_os("UPDATE_MATRIX").is_some() && kept != table {
        std::fs::write(
            &path,
            document.replace(&format!("<!-- {name} -->\n{kept}"), &format!("<!-- {name} -->\n{table}")),
        )
        .unwrap();
        return;
    }
    assert_eq!(kept, table, "{} says otherwise (UPDATE_MATRIX=1 writes it anew)", path.display());
}

#[test]
fn every_answer_reaches_every_caller() {
    let own = Matrix::of(&exchanges(false));
    println!("{}\n{}", own.table(), own.failures.join("\n"));
    let all = recorded::find().map(|_| Matrix::of(&exchanges(true)));
    if let Some(all) = &all {
        println!("{}\n{}", all.table(), all.failures.join("\n"));
    }
    hold("MATRIX.md", "fixtures", &own.table());
    if let Some(all) = &all {
        hold("MATRIX.md", "recordings", &all.table());
        assert_eq!(all.failures, Vec::<String>::new());
    }
    assert_eq!(own.failures, Vec::<String>::new());
}
