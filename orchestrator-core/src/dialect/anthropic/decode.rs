//! A caller's request into the hub's words.

use super::{
    EXTRA, Purpose,
    blocks::{Strictness, content},
    usage,
};
use crate::{
    chat::{ChatRequest, Message, PartKind, Reasoning, ResponseFormat, Role, Tool, ToolChoice},
    dialect::json::{Fields, ObjectWriter, array, must_be, string_at},
    error::{Error, Result},
};

/// The name of a schema that Anthropic gives none.
const SCHEMA_NAME: &str = "response";

/// Reads a request. Errors name the path of the wrong field.
pub(super) fn request(body: &[u8]) -> Result<ChatRequest> {
    read(body, Purpose::Answer)
}

/// Reads a prompt that is only counted.
pub(super) fn prompt(body: &[u8]) -> Result<ChatRequest> {
    read(body, Purpose::Count)
}

fn read(body: &[u8], purpose: Purpose) -> Result<ChatRequest> {
    let mut fields = Fields::body(body)?;
    let mut request = ChatRequest { model: fields.required_string("model")?, ..ChatRequest::default() };
    if purpose == Purpose::Answer && !fields.has("max_tokens") {
        return Err(Error::invalid("max_tokens".to_owned(), "`max_tokens` is missing"));
    }
    request.max_output_tokens = fields.integer("max_tokens")?;
    request.messages = messages(&mut fields)?;
    tools(&mut fields, &mut request)?;
    tool_choice(&mut fields, &mut request)?;
    reasoning(&mut fields, &mut request)?;
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.top_k = fields.integer("top_k")?;
    let stops_path = fields.path_of("stop_sequences");
    for (at, json) in fields.array("stop_sequences")?.unwrap_or_default().into_iter().enumerate() {
        request.stop.push(string_at(json, &format!("{stops_path}[{at}]"))?);
    }
    request.stream = fields.boolean("stream")?.unwrap_or_default();
    request.include_usage = request.stream;
    request.service_tier = fields.string("service_tier")?.map(|tier| usage::read_tier(&tier).to_owned());
    if let Some(mut metadata) = fields.object("metadata")? {
        request.end_user = metadata.string("user_id")?;
    }
    for (name, json) in fields.rest() {
        extra(&mut request, &name, json.to_owned());
    }
    Ok(request)
}

fn extra(request: &mut ChatRequest, name: &str, json: String) {
    request.extras.insert(format!("{EXTRA}{name}"), json);
}

fn messages(fields: &mut Fields<'_>) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    if let Some(json) = fields.take("system") {
        let parts = content(json, "system", Strictness::Request)?;
        if !parts.is_empty() {
            messages.push(Message { role: Role::System, parts, name: None });
        }
    }
    let list = fields.array("messages")?;
    let list = list.ok_or_else(|| Error::invalid("messages".to_owned(), "`messages` is missing"))?;
    if list.is_empty() {
        return Err(must_be("messages", "an array with at least one message"));
    }
    let mut calls: Vec<String> = Vec::new();
    for (at, json) in list.into_iter().enumerate() {
        let path = format!("messages[{at}]");
        let message = message(json, &path)?;
        orphans(&message, &path, &mut calls)?;
        messages.push(message);
    }
    Ok(messages)
}

fn message(json: &str, path: &str) -> Result<Message> {
    let mut fields = Fields::parse(json, path)?;
    let role = match fields.required_string("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(must_be(&format!("{path}.role"), "`user`, `assistant` or `system`")),
    };
    let content_path = fields.path_of("content");
    let json = fields
        .take("content")
        .ok_or_else(|| Error::invalid(content_path.clone(), format!("`{content_path}` is missing")))?;
    let parts = content(json, &content_path, Strictness::Request)?;
    let misplaced = parts.iter().any(|part| match part.kind {
        PartKind::ToolCall(_) => role != Role::Assistant,
        PartKind::ToolResult(_) => role != Role::User,
        _ => false,
    });
    if misplaced {
        let why = "calls stand in messages of the assistant, results in those of the user";
        return Err(Error::invalid(content_path.clone(), format!("`{content_path}`: {why}")));
    }
    Ok(Message { role, parts, name: None })
}

/// A result without its call could be told to nobody.
fn orphans(message: &Message, path: &str, calls: &mut Vec<String>) -> Result<()> {
    let blocks = message.parts.iter().filter(
        |part| !matches!(&part.kind, PartKind::Opaque { dialect, .. } if dialect == super::OPAQUE_FIELDS),
    );
    for (at, part) in blocks.enumerate() {
        match &part.kind {
            PartKind::ToolCall(call) => calls.push(call.id.clone()),
            PartKind::ToolResult(result) if !calls.contains(&result.tool_call_id) => {
                let param = format!("{path}.content[{at}].tool_use_id");
                let why = format!("`{param}` names no call of an earlier message: {:?}", result.tool_call_id);
                return Err(Error::invalid(param, why));
            }
            _ => {}
        }
    }
    Ok(())
}

fn tools(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let mut servers: Vec<String> = Vec::new();
    let mut marks = ObjectWriter::new();
    let mut marked = false;
    for (at, json) in fields.array("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut tool = Fields::parse(json, &format!("tools[{at}]"))?;
        if tool.string("type")?.is_some_and(|kind| kind != "custom") {
            servers.push(json.to_owned());
            continue;
        }
        let name = tool.required_string("name")?;
        let description = tool.string("description")?;
        let schema_path = tool.path_of("input_schema");
        let parameters = match tool.take("input_schema") {
            None => String::new(),
            Some(json) if json.starts_with('{') => json.to_owned(),
            Some(_) => return Err(must_be(&schema_path, "an object")),
        };
        let strict = tool.boolean("strict")?;
        if tool.has_more() {
            let mut rest = ObjectWriter::new();
            for (name, json) in tool.rest() {
                rest.raw(&name, json);
            }
            marks.raw(&name, &rest.finish());
            marked = true;
        }
        request.tools.push(Tool { name, description, parameters, strict });
    }
    if !servers.is_empty() {
        extra(request, "tools", array(&servers));
    }
    if marked {
        extra(request, "tool_fields", marks.finish());
    }
    Ok(())
}

fn tool_choice(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let Some(mut choice) = fields.object("tool_choice")? else { return Ok(()) };
    request.tool_choice = Some(match choice.required_string("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.required_string("name")?),
        _ => return Err(must_be("tool_choice.type", "`auto`, `any`, `tool` or `none`")),
    });
    request.parallel_tool_calls = choice.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    Ok(())
}

fn reasoning(fields: &mut Fields<'_>, request: &mut ChatRequest) -> Result<()> {
    let mut reasoning = Reasoning::default();
    let whole = fields.peek("thinking");
    if let Some(mut thinking) = fields.object("thinking")? {
        match thinking.required_string("type")?.as_str() {
            "enabled" => {
                let path = thinking.path_of("budget_tokens");
                let budget = thinking.integer("budget_tokens")?;
                reasoning.budget_tokens = Some(budget.ok_or_else(|| must_be(&path, "a whole number"))?);
            }
            "adaptive" => reasoning.include_text = Some(true),
            "disabled" => reasoning.effort = Some("none".to_owned()),
            _ => return Err(must_be("thinking.type", "`enabled`, `adaptive` or `disabled`")),
        }
        if thinking.has_more() {
            extra(request, "thinking", whole.unwrap_or_default().to_owned());
        }
    }
    if let Some(mut config) = fields.object("output_config")? {
        if let Some(effort) = config.string("effort")? {
            let thinks = reasoning != Reasoning::default();
            reasoning.include_text = reasoning.include_text.or((!thinks).then_some(false));
            if reasoning.effort.is_none() {
                reasoning.effort = Some(effort);
            }
        }
        format(config.object("format")?, request)?;
        for (name, json) in config.rest() {
            extra(request, &format!("output_config.{name}"), json.to_owned());
        }
    }
    // The name that structured outputs had in their first version.
    format(fields.object("output_format")?, request)?;
    request.reasoning = (reasoning != Reasoning::default()).then_some(reasoning);
    Ok(())
}

fn format(format: Option<Fields<'_>>, request: &mut ChatRequest) -> Result<()> {
    let Some(mut format) = format else { return Ok(()) };
    if format.required_string("type")? != "json_schema" {
        return Err(must_be(&format.path_of("type"), "`json_schema`"));
    }
    let path = format.path_of("schema");
    let schema = format.take("schema").filter(|json| json.starts_with('{'));
    request.response_format = Some(ResponseFormat::JsonSchema {
        name: SCHEMA_NAME.to_owned(),
        description: None,
        schema: schema.ok_or_else(|| must_be(&path, "an object"))?.to_owned(),
        strict: Some(true),
    });
    Ok(())
}
