//! Items that are being told, with what was told of them so far.

use crate::{
    chat::ToolCallDelta,
    dialect::{
        json::{ObjectWriter, array},
        openai_responses::items::{refusal, summary_text},
        splice::quoted,
    },
};

/// What a content part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `output_text`.
    Text,
    /// `refusal`.
    Refusal,
}

impl Part {
    /// The event that tells a piece of it.
    pub(super) fn delta(self) -> &'static str {
        match self {
            Self::Text => "response.output_text.delta",
            Self::Refusal => "response.refusal.delta",
        }
    }

    /// The event that repeats it.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Text => "response.output_text.done",
            Self::Refusal => "response.refusal.done",
        }
    }
}

/// A message.
#[derive(Debug)]
pub(super) struct OpenMessage {
    id: String,
    pub(super) place: usize,
    /// Parts that are done.
    content: Vec<String>,
    part: Option<Part>,
    text: String,
    annotations: Vec<String>,
    logprobs: Vec<String>,
}

impl OpenMessage {
    pub(super) fn new(id: String, place: usize) -> Self {
        Self {
            id,
            place,
            content: Vec::new(),
            part: None,
            text: String::new(),
            annotations: Vec::new(),
            logprobs: Vec::new(),
        }
    }

    /// The part that is being told.
    pub(super) fn part(&self) -> Option<Part> {
        self.part
    }

    /// What was told of it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The item with the parts that are done.
    pub(super) fn item(&self, status: &str) -> String {
        let mut out = ObjectWriter::new();
        out.string("type", "message");
        out.string("id", &self.id);
        out.string("status", status);
        out.string("role", "assistant");
        out.raw("content", &array(&self.content));
        out.finish()
    }

    /// Where an event of this message belongs.
    fn placed(&self) -> ObjectWriter {
        let mut event = placed(&self.id, self.place);
        event.plain("content_index", self.content.len());
        event
    }

    /// Begins a part.
    pub(super) fn open_part(&mut self, kind: Part) -> ObjectWriter {
        self.part = Some(kind);
        let mut event = self.placed();
        event.raw("part", &self.json());
        event
    }

    /// The part as it stands.
    fn json(&self) -> String {
        if self.part == Some(Part::Refusal) {
            return refusal(&self.text);
        }
        let mut out = ObjectWriter::new();
        out.string("type", "output_text");
        out.string("text", &self.text);
        out.raw("annotations", &array(&self.annotations));
        out.raw("logprobs", &array(&self.logprobs));
        out.finish()
    }

    /// Tells a piece. `logprobs`: an array.
    pub(super) fn tell(&mut self, text: &str, logprobs: Option<&str>) -> ObjectWriter {
        self.text.push_str(text);
        let elements = logprobs.and_then(|json| json.trim().strip_prefix('[')?.strip_suffix(']'));
        let elements = elements.map(str::trim).filter(|elements| !elements.is_empty());
        self.logprobs.extend(elements.map(str::to_owned));
        let mut event = self.placed();
        event.string("delta", text);
        if self.part == Some(Part::Text) {
            event.raw("logprobs", &format!("[{}]", elements.unwrap_or_default()));
        }
        event
    }

    /// Adds an annotation to the text.
    pub(super) fn annotate(&mut self, annotation: String) -> ObjectWriter {
        let mut event = self.placed();
        event.plain("annotation_index", self.annotations.len());
        event.raw("annotation", &annotation);
        self.annotations.push(annotation);
        event
    }

    /// Repeats what was told of the part.
    pub(super) fn told(&self) -> ObjectWriter {
        let mut event = self.placed();
        if self.part == Some(Part::Refusal) {
            event.string("refusal", &self.text);
        } else {
            event.string("text", &self.text);
            event.raw("logprobs", &array(&self.logprobs));
        }
        event
    }

    /// Ends the part.
    pub(super) fn close_part(&mut self) -> ObjectWriter {
        let mut event = self.placed();
        let part = self.json();
        event.raw("part", &part);
        self.content.push(part);
        self.part = None;
        self.text.clear();
        self.annotations.clear();
        self.logprobs.clear();
        event
    }
}

/// A reasoning item.
#[derive(Debug)]
pub(super) struct OpenReasoning {
    id: String,
    pub(super) place: usize,
    text: Option<String>,
    /// What only its provider can read.
    pub(super) encrypted: Option<String>,
}

impl OpenReasoning {
    pub(super) fn new(id: String, place: usize) -> Self {
        Self { id, place, text: None, encrypted: None }
    }

    pub(super) fn item(&self, status: &str) -> String {
        let summary: Vec<String> = self.text.iter().map(|text| summary_text(text)).collect();
        let mut out = ObjectWriter::new();
        out.string("type", "reasoning");
        out.string("id", &self.id);
        out.string("status", status);
        out.raw("summary", &array(&summary));
        out.optional_string("encrypted_content", self.encrypted.as_deref());
        out.finish()
    }

    fn placed(&self) -> ObjectWriter {
        let mut event = placed(&self.id, self.place);
        event.plain("summary_index", 0);
        event
    }

    /// Begins the summary, unless it is begun.
    pub(super) fn open_summary(&mut self) -> Option<ObjectWriter> {
        if self.text.is_some() {
            return None;
        }
        self.text = Some(String::new());
        let mut event = self.placed();
        event.raw("part", &summary_text(""));
        Some(event)
    }

    pub(super) fn tell(&mut self, text: &str) -> ObjectWriter {
        self.text.get_or_insert_default().push_str(text);
        let mut event = self.placed();
        event.string("delta", text);
        event
    }

    /// Repeats the summary, if there is one: its text, and it as a part.
    pub(super) fn told(&self) -> Option<[ObjectWriter; 2]> {
        let text = self.text.as_ref()?;
        let (mut told, mut part) = (self.placed(), self.placed());
        told.string("text", text);
        part.raw("part", &summary_text(text));
        Some([told, part])
    }
}

/// A function call.
#[derive(Debug)]
pub(super) struct OpenCall {
    id: String,
    pub(super) place: usize,
    /// Its place among the answer's calls.
    pub(super) index: u32,
    call_id: String,
    name: String,
    arguments: String,
}

impl OpenCall {
    pub(super) fn new(id: String, place: usize, piece: &ToolCallDelta) -> Self {
        Self {
            id,
            place,
            index: piece.index,
            call_id: piece.id.clone().unwrap_or_default(),
            name: piece.name.clone().unwrap_or_default(),
            arguments: String::new(),
        }
    }

    pub(super) fn item(&self, status: &str) -> String {
        let mut out = ObjectWriter::new();
        out.string("type", "function_call");
        out.string("id", &self.id);
        out.string("status", status);
        out.string("call_id", &self.call_id);
        out.string("name", &self.name);
        out.string("arguments", &self.arguments);
        out.finish()
    }

    pub(super) fn tell(&mut self, piece: &str) -> ObjectWriter {
        self.arguments.push_str(piece);
        let mut event = placed(&self.id, self.place);
        event.string("delta", piece);
        event
    }

    pub(super) fn told(&self) -> ObjectWriter {
        let mut event = placed(&self.id, self.place);
        event.raw("name", &quoted(&self.name));
        event.string("arguments", &self.arguments);
        event
    }
}

fn placed(item_id: &str, place: usize) -> ObjectWriter {
    let mut event = ObjectWriter::new();
    event.string("item_id", item_id);
    event.plain("output_index", place);
    event
}
