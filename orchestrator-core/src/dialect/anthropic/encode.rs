//! The hub's request in Anthropic's words.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    EXTRA,
    encode_messages::History,
    generation::{Generation, Sampling},
    schema, thinking,
};
use crate::{
    chat::{ChatRequest, ResponseFormat, Tool, ToolChoice},
    dialect::{
        EncodeTarget, Encoded,
        json::{ObjectWriter, array, array_at, checked},
        scan,
        splice::{Edit, quoted, splice},
    },
    error::Result,
};

/// Extras that are woven into a field of their own instead of being set as they are.
const WOVEN: [&str; 6] = ["tools", "tool_fields", "thinking", "model", "messages", "stream"];
/// What `output_config` has beside what the hub knows.
const OUTPUT_CONFIG: &str = "output_config.";

/// Writes a request.
pub(super) fn request(request: &ChatRequest, target: &EncodeTarget<'_>) -> Result<Encoded> {
    let mut dropped = Vec::new();
    let generation = Generation::of(target.model);
    let plan = thinking::plan(request, &generation, &mut dropped)?;
    let mut out = ObjectWriter::new();
    out.string("model", target.model);
    // Anthropic demands it.
    let default = generation.default_max_tokens.saturating_add(plan.budget);
    let max = request.max_output_tokens.unwrap_or(default);
    out.plain("max_tokens", max);
    History::of(request, &generation, &mut dropped)?.write(&mut out);
    tools(request, &mut out)?;
    tool_choice(request, &mut out);
    if let Some(thinking) = &plan.thinking {
        out.raw("thinking", thinking);
    }
    output_config(request, &plan, &mut out, &mut dropped)?;
    sampling(request, &generation, plan.thinks, &mut out, &mut dropped);
    stops(request, &mut out, &mut dropped);
    if let Some(user) = &request.end_user {
        out.raw("metadata", &format!("{{\"user_id\":{}}}", quoted(user)));
    }
    service_tier(request, &mut out, &mut dropped);
    if request.stream {
        out.plain("stream", true);
    }
    not_carried(request, &mut dropped);

    let mut edits: Vec<Edit> = Vec::new();
    for (name, json) in &request.extras {
        match name.strip_prefix(EXTRA) {
            Some(field) if WOVEN.contains(&field) || field.starts_with(OUTPUT_CONFIG) => {}
            Some(field) => edits.push(Edit::Set(field.to_owned(), checked(json, name)?.to_owned())),
            None => dropped.push(format!("extras.{name}")),
        }
    }
    edits.extend(target.overrides.iter().map(|(name, json)| Edit::Set(name.clone(), json.clone())));
    let body = Bytes::from(out.finish());
    let body = if edits.is_empty() { body } else { splice(&body, &edits)? };
    Ok(Encoded { body, dropped })
}

/// Fields of the hub that Anthropic has nothing for.
fn not_carried(request: &ChatRequest, dropped: &mut Vec<String>) {
    let fields = [
        (request.frequency_penalty.is_some(), "frequency_penalty"),
        (request.presence_penalty.is_some(), "presence_penalty"),
        (request.seed.is_some(), "seed"),
        (request.candidate_count.is_some_and(|count| count > 1), "candidate_count"),
        (request.top_logprobs.is_some(), "top_logprobs"),
        (request.response_format == Some(ResponseFormat::JsonObject), "response_format"),
    ];
    dropped.extend(fields.into_iter().filter(|(said, _)| *said).map(|(_, name)| name.to_owned()));
}

/// Anthropic knows `auto` and `standard_only`; the hub's `default` is the latter.
fn service_tier(request: &ChatRequest, out: &mut ObjectWriter, dropped: &mut Vec<String>) {
    match request.service_tier.as_deref() {
        None => {}
        Some("default") => out.string("service_tier", "standard_only"),
        Some(tier @ ("auto" | "standard_only")) => out.string("service_tier", tier),
        Some(_) => dropped.push("service_tier".to_owned()),
    }
}

/// Anthropic's temperature ends at 1: what is above is 1, which is also what a model takes that thinks, or takes no other. Of one that
/// thinks `top_p` may be little below 1.
fn sampling(
    request: &ChatRequest,
    generation: &Generation,
    thinks: bool,
    out: &mut ObjectWriter,
    dropped: &mut Vec<String>,
) {
    let refuses = generation.sampling == Sampling::None;
    let mut temperature = request.temperature.map(|temperature| temperature.clamp(0.0, 1.0));
    if let Some(said) = temperature.take_if(|_| refuses || thinks) {
        if said < 1.0 {
            dropped.push("temperature".to_owned());
        } else if !refuses {
            temperature = Some(1.0);
        }
    }
    out.optional_number("temperature", temperature);
    let beside_temperature = generation.sampling == Sampling::One && temperature.is_some();
    match request.top_p {
        Some(top_p) if refuses && top_p >= 1.0 => {}
        Some(top_p) if refuses || beside_temperature || (thinks && top_p < 0.95) => {
            dropped.push("top_p".to_owned());
        }
        top_p => out.optional_number("top_p", top_p),
    }
    match request.top_k {
        Some(_) if refuses || thinks => dropped.push("top_k".to_owned()),
        top_k => out.optional_plain("top_k", top_k),
    }
}

fn stops(request: &ChatRequest, out: &mut ObjectWriter, dropped: &mut Vec<String>) {
    // Anthropic refuses sequences of nothing but space.
    let mut stops: Vec<String> = Vec::new();
    for (at, stop) in request.stop.iter().enumerate() {
        if stop.trim().is_empty() {
            dropped.push(format!("stop[{at}]"));
        } else {
            stops.push(quoted(stop));
        }
    }
    if !stops.is_empty() {
        out.raw("stop_sequences", &array(&stops));
    }
}

fn tools(request: &ChatRequest, out: &mut ObjectWriter) -> Result<()> {
    let mut rest: BTreeMap<String, String> = BTreeMap::new();
    if let Some(json) = request.extras.get("anthropic.tool_fields") {
        let members = scan::entries(checked(json, "extras.anthropic.tool_fields")?)?;
        rest = members.into_iter().map(|(name, json)| (name.into_owned(), json.to_owned())).collect();
    }
    let mut list: Vec<String> = Vec::new();
    for (at, entry) in request.tools.iter().enumerate() {
        list.push(tool(entry, at, rest.get(&entry.name))?);
    }
    if let Some(servers) = request.extras.get("anthropic.tools") {
        list.extend(array_at(servers, "extras.anthropic.tools")?.into_iter().map(str::to_owned));
    }
    if !list.is_empty() {
        out.raw("tools", &array(&list));
    }
    Ok(())
}

fn tool(tool: &Tool, at: usize, rest: Option<&String>) -> Result<String> {
    let mut out = ObjectWriter::new();
    out.string("name", &tool.name);
    out.optional_string("description", tool.description.as_deref());
    out.raw("input_schema", &schema(&tool.parameters, &format!("tools[{at}].parameters"))?);
    out.optional_plain("strict", tool.strict);
    let json = out.finish();
    let Some(rest) = rest else { return Ok(json) };
    let edits: Vec<Edit> = scan::entries(rest)?
        .into_iter()
        .map(|(name, json)| Edit::Set(name.into_owned(), json.to_owned()))
        .collect();
    Ok(String::from_utf8_lossy(&splice(json.as_bytes(), &edits)?).into_owned())
}

/// Anthropic demands a schema whose type is `object`.
fn schema(parameters: &str, path: &str) -> Result<String> {
    if parameters.trim().is_empty() {
        return Ok(r#"{"type":"object","properties":{}}"#.to_owned());
    }
    let schema = checked(parameters, path)?;
    let has_type = scan::entries(schema)?.iter().any(|(name, _)| name == "type");
    if has_type {
        return Ok(schema.to_owned());
    }
    let typed = splice(schema.as_bytes(), &[Edit::Set("type".to_owned(), "\"object\"".to_owned())])?;
    Ok(String::from_utf8_lossy(&typed).into_owned())
}

fn tool_choice(request: &ChatRequest, out: &mut ObjectWriter) {
    let serial = request.parallel_tool_calls.map(|parallel| !parallel);
    // Anthropic refuses a choice among no tools.
    let has_tools = !request.tools.is_empty() || request.extras.contains_key("anthropic.tools");
    if !has_tools || (request.tool_choice.is_none() && serial != Some(true)) {
        return;
    }
    let mut choice = ObjectWriter::new();
    match request.tool_choice.as_ref().unwrap_or(&ToolChoice::Auto) {
        ToolChoice::None => choice.string("type", "none"),
        ToolChoice::Auto => choice.string("type", "auto"),
        ToolChoice::Required => choice.string("type", "any"),
        ToolChoice::Named(name) => {
            choice.string("type", "tool");
            choice.string("name", name);
        }
    }
    if request.tool_choice != Some(ToolChoice::None) {
        choice.optional_plain("disable_parallel_tool_use", serial);
    }
    out.raw("tool_choice", &choice.finish());
}

fn output_config(
    request: &ChatRequest,
    plan: &thinking::Plan,
    out: &mut ObjectWriter,
    dropped: &mut Vec<String>,
) -> Result<()> {
    let mut config = ObjectWriter::new();
    config.optional_string("effort", plan.effort.as_deref());
    if let Some(ResponseFormat::JsonSchema { schema, .. }) = &request.response_format {
        if schema.is_empty() {
            dropped.push("response_format".to_owned());
        } else {
            let mut format = ObjectWriter::new();
            format.string("type", "json_schema");
            format.raw("schema", &schema::closed(checked(schema, "response_format.schema")?)?);
            config.raw("format", &format.finish());
        }
    }
    for (name, json) in &request.extras {
        if let Some(field) = name.strip_prefix(EXTRA).and_then(|field| field.strip_prefix(OUTPUT_CONFIG)) {
            config.raw(field, checked(json, name)?);
        }
    }
    let config = config.finish();
    if config != "{}" {
        out.raw("output_config", &config);
    }
    Ok(())
}
