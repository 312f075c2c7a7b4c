//! Real provider traffic as test material: requests as they were sent, answers as they were received.
//!
//! The recordings lie outside of the repository ([`find`] says where). A suite takes [`everything`]: they are in it where
//! they are there, and the project's own [`fixtures`] are in it always.

mod file;
mod usage;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::value::RawValue;

pub(crate) use self::file::load_fixtures;
pub use self::usage::{Usage, data_events, usage_of};
use crate::{
    fixtures,
    judge::Operation,
    provider::{Answer, Cut},
};

/// How true a recording's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// As received: bytes can be compared.
    Raw,
    /// The recorder tidied the text.
    Normalised,
    /// The recorder kept JSON and wrote it anew.
    Reparsed,
    /// Only the answer was kept.
    ResponseOnly,
}

/// One exchange with a provider.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Where it stands, below its folder.
    pub file: String,
    /// `openai`, `azure`, `groq` …
    pub provider: String,
    /// `chat_completions`, `completions`, `embeddings`, and those of other vendors.
    pub endpoint: String,
    /// Whether a stream was asked for.
    pub streaming: bool,
    /// The answer's status.
    pub status: u16,
    /// Whether bytes can be compared.
    pub fidelity: Fidelity,
    /// The request's JSON as text: numbers, escapes and white space as they stand in the file.
    pub request_body: Option<String>,
    /// The answer's headers, `content-type` among them when it was recorded.
    pub response_headers: Vec<(String, String)>,
    /// The answer's body.
    pub body: Bytes,
    /// The model as the provider was asked for it; empty when the request names none.
    pub upstream_model: String,
    /// As recorded, or what the body looks like.
    pub content_type: String,
}

/// Not sent again: they speak of the recorded connection, or of an encoding that the recorder undid.
const DROPPED_HEADERS: [&str; 9] = [
    "connection",
    "keep-alive",
    "transfer-encoding",
    "trailer",
    "upgrade",
    "content-length",
    "content-encoding",
    "x-recorded-content-encoding",
    "content-type",
];

impl Recording {
    /// The OpenAI operation it is one of.
    pub fn operation(&self) -> Option<Operation> {
        Operation::from_endpoint(&self.endpoint)
    }

    /// Whether the answer is an event stream.
    pub fn is_event_stream(&self) -> bool {
        self.content_type.starts_with("text/event-stream")
    }

    /// The answer, byte for byte, cut as told: status, type, and every header that is not about the connection.
    pub fn answer(&self, cut: &Cut) -> Answer {
        let whole = if self.is_event_stream() {
            Answer::stream(&self.content_type, self.body.clone()).status(self.status)
        } else {
            Answer::whole(self.status, &self.content_type, self.body.clone())
        };
        let mut answer = whole.cut(cut);
        for (name, value) in &self.response_headers {
            let dropped = DROPPED_HEADERS.iter().any(|dropped| name.eq_ignore_ascii_case(dropped));
            if !dropped && value.bytes().all(|byte| byte >= b' ') {
                answer = answer.header(name, value);
            }
        }
        answer
    }
}

/// Where the recordings are: `RECORDED_TRAFFIC`, else `shared/recorded` beside the workspace. `None` when they are not there.
///
/// Panics when `RECORDED_TRAFFIC` names a folder without recordings: whoever sets it wants them.
#[expect(
    clippy::disallowed_methods,
    reason = "which folder of recordings a test reads is no setting of the product"
)]
pub fn find() -> Option<PathBuf> {
    let has_recordings = |dir: &Path| dir.join("MANIFEST.json").is_file();
    if let Some(named) = std::env::var_os("RECORDED_TRAFFIC").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        assert!(has_recordings(&named), "RECORDED_TRAFFIC={} holds no MANIFEST.json", named.display());
        return Some(named);
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/recorded");
    has_recordings(&beside).then_some(beside)
}

/// All recordings of a folder, sorted by file. An error names the file.
pub fn load(dir: &Path) -> Result<Vec<Recording>, String> {
    file::load_recordings(dir)
}

/// The project's fixtures and, where they are there, the recordings; only those that OpenAI's dialects speak.
///
/// Says on standard error when the recordings are not there. Panics when one cannot be read.
#[expect(clippy::print_stderr, reason = "a suite that runs without the recordings has to say so")]
pub fn everything() -> Vec<Recording> {
    let mut all = fixtures::load().expect("the fixtures are readable");
    match find() {
        Some(dir) => all.extend(load(&dir).expect("the recordings are readable")),
        None => eprintln!(
            "no recorded traffic here: only the project's own fixtures are tested (set RECORDED_TRAFFIC)"
        ),
    }
    openai_family(&all).into_iter().cloned().collect()
}

/// The fixtures and recordings of Gemini's content and embeddings, Vertex included, on the same terms as [`everything`].
///
/// Recordings of streams that were asked for without `alt=sse` are one JSON array: what the same stream is as events is in
/// [`as_events`].
pub fn of_gemini() -> Vec<Recording> {
    let mut all = fixtures::load().expect("the fixtures are readable");
    all.extend(find().map(|dir| load(&dir).expect("the recordings are readable")).unwrap_or_default());
    all.retain(|recording| {
        let endpoints = ["generateContent", "streamGenerateContent", "gemini_embed"];
        endpoints.contains(&recording.endpoint.as_str())
    });
    all
}

/// Those of Anthropic's Messages, Vertex included, on the same terms as [`everything`].
pub fn of_anthropic() -> Vec<Recording> {
    let mut all = fixtures::load().expect("the fixtures are readable");
    all.extend(find().map(|dir| load(&dir).expect("the recordings are readable")).unwrap_or_default());
    all.retain(|recording| ["messages", "vertex_raw_predict"].contains(&recording.endpoint.as_str()));
    all
}

/// A stream of Gemini's as server-sent events, whichever form it was recorded in.
pub fn as_events(recording: &Recording) -> Bytes {
    let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(&recording.body) else {
        return recording.body.clone();
    };
    let events =
        elements.iter().map(|json| format!("data: {}\r\n\r\n", json.get().replace(['\n', '\r'], " ")));
    Bytes::from(events.collect::<String>())
}

/// Those of chat completions, completions and embeddings.
/// As [`everything`], but those of Responses.
///
/// Panics when one cannot be read.
pub fn responses() -> Vec<Recording> {
    let mut all = fixtures::load().expect("the fixtures are readable");
    if let Some(dir) = find() {
        all.extend(load(&dir).expect("the recordings are readable"));
    }
    // One names its model nowhere but in a prompt that OpenAI keeps: a gateway cannot know where to send it.
    all.retain(|it| it.operation() == Some(Operation::Responses) && !it.upstream_model.is_empty());
    all
}

/// Those of chat completions, completions and embeddings: what a stream of chunks and a list of choices is.
pub fn openai_family(recordings: &[Recording]) -> Vec<&Recording> {
    recordings
        .iter()
        .filter(|recording| recording.operation().is_some_and(|operation| operation != Operation::Responses))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Body, Judge};

    #[test]
    fn every_exchange_of_the_family_can_be_replayed_and_judged() {
        for recording in everything().into_iter().chain(responses()) {
            let file = &recording.file;
            for cut in [Cut::Whole, Cut::EveryByte, Cut::Seeded(3)] {
                assert_eq!(recording.answer(&cut).body_bytes(), recording.body, "{file}");
            }
            let Some(request) = &recording.request_body else { continue };
            let operation = recording.operation().unwrap();
            for body in [Body::recorded(request), Body::recorded_bytes(request)] {
                let judge = Judge::new(operation, "key", &recording.upstream_model, body);
                assert_eq!(judge.body_complaints(request), Vec::<String>::new(), "{file}");
                // The same request with one more member is refused, whoever recorded it.
                let injected = request.replacen('{', "{\"injected\":1,", 1);
                assert!(!judge.body_complaints(&injected).is_empty(), "{file}");
            }
        }
    }

    #[test]
    fn the_published_shape_takes_what_openai_took() {
        for recording in everything().into_iter().chain(responses()) {
            let Some(request) = recording.request_body.filter(|_| recording.provider == "openai") else {
                continue;
            };
            // A fixture that shows unknown fields is no request that OpenAI would take.
            if recording.status != 200 || recording.file == "chat_unknown_fields.json" {
                continue;
            }
            let judge = Judge::new(
                Operation::from_endpoint(&recording.endpoint).unwrap(),
                "key",
                &recording.upstream_model,
                Body::published(),
            );
            assert_eq!(judge.body_complaints(&request), Vec::<String>::new(), "{}", recording.file);
        }
    }

    #[test]
    fn a_recording_keeps_the_text_of_numbers_and_guesses_a_missing_content_type() {
        let recordings = everything();
        let unknown =
            recordings.iter().find(|recording| recording.file == "chat_unknown_fields.json").unwrap();
        let request = unknown.request_body.as_deref().unwrap();
        for text in ["\"temperature\": 1.0", "9007199254740993", "1E0", "\\u00fc", "-0]"] {
            assert!(request.contains(text), "{text}");
        }
        assert_eq!(file::guess_content_type("data: {}\n\n"), "text/event-stream");
        assert_eq!(file::guess_content_type(": hello\r\n\r\ndata: x\r\n\r\n"), "text/event-stream");
        assert_eq!(file::guess_content_type("{\"data\": 1}"), "application/json");
    }
}
