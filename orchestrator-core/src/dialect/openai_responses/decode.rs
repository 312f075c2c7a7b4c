//! A caller's request into the hub's words.
//!
//! What its provider keeps (an earlier response, a conversation, a prompt) cannot be told to another: such a request is refused here,
//! by the name of the field.

use super::{EXTRA, decode_items};
use crate::{
    chat::{ChatRequest, Message, Part, PartKind, Reasoning, ResponseFormat, Role, Tool, ToolChoice},
    dialect::{
        json::{Fields, ObjectWriter, array, must_be, string_at},
        splice::quoted,
    },
    error::{Error, Result},
};

/// What asks for log probabilities in `include`.
pub(super) const INCLUDE_LOGPROBS: &str = "message.output_text.logprobs";
/// What asks for encrypted reasoning in `include`.
pub(super) const INCLUDE_ENCRYPTED: &str = "reasoning.encrypted_content";

/// Fields that name what only one provider has.
const KEPT: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// Reads a request. Errors name the path of the wrong field.
pub(super) fn request(body: &[u8]) -> Result<ChatRequest> {
    let mut fields = Fields::body(body)?;
    for name in KEPT {
        if fields.has(name) {
            return Err(kept(name));
        }
    }
    if fields.boolean("background")? == Some(true) {
        return Err(kept("background"));
    }
    let mut request = ChatRequest { model: fields.required_string("model")?, ..ChatRequest::default() };
    request.messages = messages(&mut fields)?;
    request.max_output_tokens = fields.integer("max_output_tokens")?;
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    tools(&mut fields, &mut request)?;
    text(&mut fields, &mut request)?;
    reasoning(&mut fields, &mut request)?;
    include(&mut fields, &mut request)?;
    request.service_tier = fields.string("service_tier")?;
    request.end_user = fields.string("user")?;
    request.stream = fields.boolean("stream")?.unwrap_or(false);
    request.include_usage = true;
    // Elsewhere nothing is stored anyway.
    let stored = fields.boolean("store")?;
    if stored == Some(true) {
        extra(&mut request, "store", "true");
    }
    for (name, json) in fields.rest() {
        extra(&mut request, &name, json);
    }
    Ok(request)
}

fn kept(name: &str) -> Error {
    let message =
        format!("`{name}` names what only the provider that made it has; none that has it can be asked");
    Error::invalid(name.to_owned(), message)
}

fn extra(request: &mut ChatRequest, name: &str, json: &str) {
    request.extras.insert(format!("{EXTRA}{name}"), json.to_owned());
}

fn messages(fields: &mut Fields<'_>) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    if let Some(text) = fields.string("instructions")?.filter(|text| !text.is_empty()) {
        let parts = vec![Part::from(PartKind::Text(text))];
        messages.push(Message { role: Role::System, parts, name: None });
    }
    let Some(input) = fields.take("input") else {
        return Err(Error::invalid("input".to_owned(), "you must provide the `input` parameter"));
    };
    decode_items::input(input, messages)
}

fn tools(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let mut others: Vec<String> = Vec::new();
    for (at, json) in fields.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut entry = Fields::parse(json, &format!("tools[{at}]"))?;
        if entry.required_string("type")? != "function" {
            others.push(json.to_owned());
            continue;
        }
        request.tools.push(Tool {
            name: entry.required_string("name")?,
            description: entry.string("description")?,
            parameters: entry.take("parameters").unwrap_or_default().to_owned(),
            strict: entry.boolean("strict")?,
        });
    }
    if !others.is_empty() {
        extra(request, "tools", &array(&others));
    }
    request.parallel_tool_calls = fields.boolean("parallel_tool_calls")?;
    if let Some(json) = fields.take("tool_choice") {
        request.tool_choice = tool_choice(json)?;
        if request.tool_choice.is_none() {
            extra(request, "tool_choice", json);
        }
    }
    Ok(())
}

/// `None`: a choice that the hub has no word for, such as `allowed_tools` or one of OpenAI's own tools.
fn tool_choice(json: &str) -> Result<Option<ToolChoice>> {
    if json.starts_with('"') {
        return Ok(match string_at(json, "tool_choice")?.as_str() {
            "none" => Some(ToolChoice::None),
            "auto" => Some(ToolChoice::Auto),
            "required" => Some(ToolChoice::Required),
            _ => None,
        });
    }
    let mut choice =
        Fields::parse(json, "tool_choice").map_err(|_| must_be("tool_choice", "a string or an object"))?;
    if choice.string("type")?.as_deref() != Some("function") {
        return Ok(None);
    }
    Ok(Some(ToolChoice::Named(choice.required_string("name")?)))
}

/// `text`: the form of the answer, and how wordy it is.
fn text(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let Some(mut text) = fields.object("text")? else { return Ok(()) };
    if let Some(verbosity) = text.take("verbosity") {
        extra(request, "verbosity", verbosity);
    }
    let Some(mut format) = text.object("format")? else { return Ok(()) };
    let path = format.path_of("type");
    request.response_format = Some(match format.required_string("type")?.as_str() {
        "text" => ResponseFormat::Text,
        "json_object" => ResponseFormat::JsonObject,
        "json_schema" => ResponseFormat::JsonSchema {
            name: format.required_string("name")?,
            description: format.string("description")?,
            schema: format.take("schema").unwrap_or_default().to_owned(),
            strict: format.boolean("strict")?,
        },
        _ => return Err(must_be(&path, "one of `text`, `json_object` and `json_schema`")),
    });
    Ok(())
}

/// `reasoning`. A summary that was asked for is reasoning to be shown; its length has no word in the hub.
fn reasoning(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let Some(mut said) = fields.object("reasoning")? else { return Ok(()) };
    let effort = said.string("effort")?;
    let older = said.string("generate_summary")?;
    let summary = said.string("summary")?.or(older);
    let mut left = ObjectWriter::new();
    let mut any = false;
    if let Some(length) = summary.as_deref().filter(|length| *length != "auto") {
        left.raw("summary", &quoted(length));
        any = true;
    }
    for (name, json) in said.rest() {
        left.raw(&name, json);
        any = true;
    }
    if any {
        extra(request, "reasoning", &left.finish());
    }
    let include_text = summary.map(|_| true);
    if effort.is_some() || include_text.is_some() {
        request.reasoning = Some(Reasoning { effort, include_text, ..Reasoning::default() });
    }
    Ok(())
}

/// `include` and `top_logprobs`. Encrypted reasoning comes wherever there is any.
fn include(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    request.top_logprobs = fields.integer("top_logprobs")?.filter(|count| *count > 0);
    let mut others: Vec<String> = Vec::new();
    for (at, json) in fields.array("include")?.unwrap_or_default().into_iter().enumerate() {
        match string_at(json, &format!("include[{at}]"))?.as_str() {
            INCLUDE_LOGPROBS => request.top_logprobs = request.top_logprobs.or(Some(0)),
            INCLUDE_ENCRYPTED => {
                request.reasoning.get_or_insert_default();
            }
            _ => others.push(json.to_owned()),
        }
    }
    if !others.is_empty() {
        extra(request, "include", &array(&others));
    }
    Ok(())
}
