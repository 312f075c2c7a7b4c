//! Items into the hub's words: a caller's `input`, and the `output` of a provider's answer.
//!
//! A run of items that one assistant said becomes one message, for that is what other vendors take: reasoning, texts and calls in
//! their order. Ids and statuses of items are the provider's own bookkeeping and go no further.

use super::{OPAQUE_FIELDS, OPAQUE_ITEM, OPAQUE_PART, OWN, media, signed};
use crate::{
    chat::{Citation, Message, Part, PartKind, ReasoningPart, Role, ToolCall, ToolResult},
    dialect::json::{Fields, ObjectWriter, array_at, must_be, string_at},
    error::{Error, Result},
};

/// Reads `input`.
pub(super) fn input(json: &str, messages: Vec<Message>) -> Result<Vec<Message>> {
    let mut reader = Reader { messages, ..Reader::default() };
    if json.starts_with('"') {
        let text = string_at(json, "input")?;
        reader.messages.push(message_of(Role::User, vec![Part::from(PartKind::Text(text))]));
        return Ok(reader.messages);
    }
    for (at, item) in array_at(json, "input")?.into_iter().enumerate() {
        reader.item(item, &format!("input[{at}]"))?;
    }
    Ok(reader.messages)
}

/// What an answer's `output` says.
#[derive(Debug)]
pub(super) struct Output {
    /// All of it, as one message.
    pub(super) message: Message,
    /// The elements of all log probabilities.
    pub(super) logprobs: Vec<String>,
}

/// Reads `output`.
pub(super) fn output(items: Vec<&str>) -> Result<Output> {
    let messages = vec![message_of(Role::Assistant, Vec::new())];
    let mut reader = Reader { messages, one: true, ..Reader::default() };
    for (at, item) in items.into_iter().enumerate() {
        reader.item(item, &format!("output[{at}]"))?;
    }
    let message = reader.messages.pop().ok_or_else(|| Error::internal("an answer is one message"))?;
    Ok(Output { message, logprobs: reader.logprobs })
}

fn message_of(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None }
}

#[derive(Debug, Default)]
struct Reader {
    messages: Vec<Message>,
    /// All items are one message's.
    one: bool,
    /// The signature of the function call that comes next.
    call_signature: Option<String>,
    logprobs: Vec<String>,
}

impl Reader {
    fn item(&mut self, json: &str, path: &str) -> Result<()> {
        let mut fields = Fields::parse(json, path)?;
        let kind = match fields.string("type")? {
            Some(kind) => kind,
            None if fields.has("role") => "message".to_owned(),
            None if fields.has("id") => "item_reference".to_owned(),
            None => return Err(must_be(&fields.path_of("type"), "the name of an item's type")),
        };
        match kind.as_str() {
            "message" => self.message(fields),
            "function_call" => self.call(fields),
            "function_call_output" if !self.one => self.result(fields),
            "reasoning" => self.reasoning(fields, json),
            _ => {
                self.opaque(json);
                Ok(())
            }
        }
    }

    fn message(&mut self, mut fields: Fields<'_>) -> Result<()> {
        let path = fields.path_of("role");
        let role = match fields.required_string("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            "developer" => Role::Developer,
            _ => return Err(must_be(&path, "one of `user`, `assistant`, `system` and `developer`")),
        };
        let mut parts = self.content(&mut fields, "content")?;
        if !parts.is_empty() {
            parts.extend(unknown(fields));
        }
        if role == Role::Assistant {
            // A second text is a second message; but what follows a call must stay with it, for its result comes next.
            let says = |part: &Part| matches!(part.kind, PartKind::Text(_) | PartKind::Refusal(_));
            let calls = |part: &Part| matches!(part.kind, PartKind::ToolCall(_));
            let open = self.assistant();
            if open.iter().any(says) && !open.iter().any(calls) && !self.one {
                self.messages.push(message_of(role, parts));
            } else {
                self.assistant().extend(parts);
            }
        } else {
            self.messages.push(message_of(role, parts));
        }
        Ok(())
    }

    /// The parts of the assistant's message that items are added to.
    fn assistant(&mut self) -> &mut Vec<Part> {
        if self.messages.last().is_none_or(|message| message.role != Role::Assistant) {
            self.messages.push(message_of(Role::Assistant, Vec::new()));
        }
        let last = self.messages.len() - 1;
        &mut self.messages[last].parts
    }

    fn opaque(&mut self, json: &str) {
        let (dialect, json) = (OPAQUE_ITEM.to_owned(), json.to_owned());
        self.assistant().push(Part::from(PartKind::Opaque { dialect, json }));
    }

    fn call(&mut self, mut fields: Fields<'_>) -> Result<()> {
        let call = ToolCall {
            id: fields.required_string("call_id")?,
            name: fields.required_string("name")?,
            arguments: fields.string("arguments")?.unwrap_or_default(),
            signature: self.call_signature.take(),
        };
        let unknown = unknown(fields);
        let parts = self.assistant();
        parts.push(Part::from(PartKind::ToolCall(call)));
        parts.extend(unknown);
        Ok(())
    }

    fn result(&mut self, mut fields: Fields<'_>) -> Result<()> {
        let tool_call_id = fields.required_string("call_id")?;
        let name = fields.string("name")?;
        let path = fields.path_of("output");
        if !fields.has("output") {
            return Err(Error::invalid(path.clone(), format!("`{path}` is missing")));
        }
        let parts = self.content(&mut fields, "output")?;
        let result = ToolResult { tool_call_id, name, parts, is_error: false };
        let mut parts = vec![Part::from(PartKind::ToolResult(result))];
        parts.extend(unknown(fields));
        self.messages.push(message_of(Role::Tool, parts));
        Ok(())
    }

    fn reasoning(&mut self, mut fields: Fields<'_>, json: &str) -> Result<()> {
        let mut texts = texts(&mut fields, "summary")?;
        texts.extend(self::texts(&mut fields, "content")?);
        let mut thought = ReasoningPart { text: texts.join("\n\n"), ..ReasoningPart::default() };
        let content = fields.string("encrypted_content")?.filter(|content| !content.is_empty());
        match content.as_deref().map(signed::read) {
            Some(signed::Sealed::Encrypted(text)) => thought.encrypted = Some(text),
            Some(signed::Sealed::Signature(text)) => thought.signature = Some(text),
            Some(signed::Sealed::Call(text)) => {
                self.call_signature = Some(text);
                if thought.text.is_empty() {
                    return Ok(());
                }
            }
            // It stands for something that its provider keeps.
            None if thought.text.is_empty() => {
                self.opaque(json);
                return Ok(());
            }
            None => {}
        }
        self.assistant().push(Part::from(PartKind::Reasoning(thought)));
        Ok(())
    }

    /// Content as a string or as an array of parts. Empty texts are no parts: some providers refuse them.
    fn content(&mut self, fields: &mut Fields<'_>, name: &str) -> Result<Vec<Part>> {
        let path = fields.path_of(name);
        let mut parts = Vec::new();
        match fields.take(name) {
            None => {}
            Some(json) if json.starts_with('[') => {
                for (at, json) in array_at(json, &path)?.into_iter().enumerate() {
                    parts.push(self.part(json, &format!("{path}[{at}]"))?);
                }
            }
            Some(json) if json.starts_with('"') => {
                parts.push(Part::from(PartKind::Text(string_at(json, &path)?)));
            }
            Some(_) => return Err(must_be(&path, "a string or an array")),
        }
        parts.retain(|part| part.kind != PartKind::Text(String::new()));
        Ok(parts)
    }

    fn part(&mut self, json: &str, path: &str) -> Result<Part> {
        let mut fields = Fields::parse(json, path)?;
        let opaque =
            || Part::from(PartKind::Opaque { dialect: OPAQUE_PART.to_owned(), json: json.to_owned() });
        let media = match fields.required_string("type")?.as_str() {
            "input_text" | "output_text" | "text" | "summary_text" => {
                let text = fields.required_string("text")?;
                let citations = citations(&mut fields)?;
                let logprobs = fields.array("logprobs")?.unwrap_or_default();
                self.logprobs.extend(logprobs.into_iter().map(str::to_owned));
                return Ok(Part { citations, ..Part::from(PartKind::Text(text)) });
            }
            "refusal" => return Ok(Part::from(PartKind::Refusal(fields.required_string("refusal")?))),
            "input_image" => media::image(fields)?.map(PartKind::Image),
            "input_file" => media::file(fields)?.map(PartKind::File),
            _ => None,
        };
        Ok(media.map_or_else(opaque, Part::from))
    }
}

/// The texts of a reasoning item's `summary` or `content`.
fn texts(fields: &mut Fields<'_>, name: &str) -> Result<Vec<String>> {
    let path = fields.path_of(name);
    let mut texts = Vec::new();
    for (at, json) in fields.array(name)?.unwrap_or_default().into_iter().enumerate() {
        let mut part = Fields::parse(json, &format!("{path}[{at}]"))?;
        texts.extend(part.string("text")?.filter(|text| !text.is_empty()));
    }
    Ok(texts)
}

fn citations(fields: &mut Fields<'_>) -> Result<Vec<Citation>> {
    let annotations = fields.array("annotations")?.unwrap_or_default();
    Ok(annotations.into_iter().map(citation).collect())
}

/// Reads an annotation, whatever its type.
pub(super) fn citation(json: &str) -> Citation {
    let native = Some((OWN.name().to_owned(), json.to_owned()));
    let Ok(mut fields) = Fields::parse(json, "annotations") else {
        return Citation { native, ..Citation::default() };
    };
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let title = filled(fields.lenient_string("title"));
    let filename = filled(fields.lenient_string("filename"));
    let (start, end) = (fields.integer("start_index"), fields.integer("end_index"));
    Citation {
        url: filled(fields.lenient_string("url")),
        title: title.or(filename),
        cited_text: None,
        span: start.ok().flatten().zip(end.ok().flatten()),
        native,
    }
}

/// What nobody took, as one object.
fn unknown(fields: Fields<'_>) -> Option<Part> {
    let mut left = ObjectWriter::new();
    let mut any = false;
    for (name, json) in fields.rest().filter(|(name, _)| name != "id" && name != "status") {
        left.raw(&name, json);
        any = true;
    }
    let (dialect, json) = (OPAQUE_FIELDS.to_owned(), left.finish());
    any.then(|| Part::from(PartKind::Opaque { dialect, json }))
}
