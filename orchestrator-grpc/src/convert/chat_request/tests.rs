//! Every field arrives, and what cannot be taken is named.

use orchestrator_core::error::Error;
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::convert::message::encode_message;

const DEPTH: usize = 8;

fn minimal() -> v1::ChatRequest {
    let part = v1::Part { kind: Some(v1::part::Kind::Text("hi".into())), ..v1::Part::default() };
    let message = v1::Message { role: v1::Role::User.into(), parts: vec![part], name: None };
    v1::ChatRequest { model: "m".into(), messages: vec![message], ..v1::ChatRequest::default() }
}

fn problem(request: v1::ChatRequest) -> String {
    Error::from(decode_request(request, false, DEPTH).unwrap_err()).message
}

#[test]
fn the_method_says_whether_the_answer_is_streamed() {
    let whole = decode_request(minimal(), false, DEPTH).unwrap();
    let streamed = decode_request(minimal(), true, DEPTH).unwrap();
    assert!(!whole.stream && !whole.include_usage);
    assert!(streamed.stream && streamed.include_usage);
}

#[test]
fn what_a_request_lacks_is_named_with_its_place() {
    let mut no_role = minimal();
    no_role.messages = vec![no_role.messages[0].clone(); 3];
    no_role.messages[2].role = 0;
    assert_eq!(problem(no_role), "messages[2].role: must be given");

    assert_eq!(problem(v1::ChatRequest { model: String::new(), ..minimal() }), "model: must not be empty");
    assert_eq!(
        problem(v1::ChatRequest { messages: vec![], ..minimal() }),
        "messages: must have at least one message"
    );
    let tools = vec![v1::Tool::default()];
    assert_eq!(problem(v1::ChatRequest { tools, ..minimal() }), "tools[0].name: must not be empty");
    let response_format = Some(v1::ResponseFormat { kind: None });
    assert_eq!(
        problem(v1::ChatRequest { response_format, ..minimal() }),
        "response_format.kind: must be set: text, json_object or json_schema"
    );
}

#[test]
fn what_no_provider_could_be_told_is_refused() {
    let temperature = Some(f64::NAN);
    assert_eq!(problem(v1::ChatRequest { temperature, ..minimal() }), "temperature: must be a finite number");
    let logprobs = Some(v1::LogprobsRequest { top: 21 });
    assert_eq!(problem(v1::ChatRequest { logprobs, ..minimal() }), "logprobs.top: must be at most 20");

    let choice = |mode, name: &str| v1::ChatRequest {
        tool_choice: Some(v1::ToolChoice { mode, name: name.into() }),
        ..minimal()
    };
    assert_eq!(problem(choice(9, "")), "tool_choice.mode: 9 is no way to choose a tool");
    assert_eq!(problem(choice(Mode::Named.into(), "")), "tool_choice.name: must not be empty");
    assert_eq!(problem(choice(Mode::Auto.into(), "f")), "tool_choice.name: goes with MODE_NAMED only");

    let extras = |key: &str, text: &str| v1::ChatRequest {
        extras_json: BTreeMap::from([(key.into(), text.into())]),
        ..minimal()
    };
    assert_eq!(problem(extras("seed", "1")), "extras_json[\"seed\"]: must be named DIALECT.FIELD");
    assert_eq!(
        problem(extras("openai_chat.user", "1,\"model\":2")),
        "extras_json[\"openai_chat.user\"]: must be JSON text"
    );
}

proptest! {
    #[test]
    fn every_field_survives_the_way_into_the_domain_and_back(request in requests()) {
        let decoded = decode_request(request.clone(), false, DEPTH).map_err(Error::from);
        prop_assert_eq!(back(decoded.unwrap()), request);
    }
}

/// The way back; nothing in the service needs it.
fn back(request: ChatRequest) -> v1::ChatRequest {
    let tool = |tool: Tool| v1::Tool {
        name: tool.name,
        description: tool.description,
        parameters_json: tool.parameters,
        strict: tool.strict,
    };
    let choice = |choice| {
        let (mode, name) = match choice {
            ToolChoice::None => (Mode::None, String::new()),
            ToolChoice::Auto => (Mode::Auto, String::new()),
            ToolChoice::Required => (Mode::Required, String::new()),
            ToolChoice::Named(name) => (Mode::Named, name),
        };
        v1::ToolChoice { mode: mode.into(), name }
    };
    let format = |format| {
        let kind = match format {
            ResponseFormat::Text => FormatKind::Text(v1::TextFormat {}),
            ResponseFormat::JsonObject => FormatKind::JsonObject(v1::JsonObjectFormat {}),
            ResponseFormat::JsonSchema { name, description, schema, strict } => {
                FormatKind::JsonSchema(v1::JsonSchemaFormat {
                    name,
                    description,
                    schema_json: schema,
                    strict,
                })
            }
        };
        v1::ResponseFormat { kind: Some(kind) }
    };
    let reasoning = |Reasoning { effort, budget_tokens, include_text }: Reasoning| v1::Reasoning {
        effort,
        budget_tokens,
        include_text,
    };
    v1::ChatRequest {
        model: request.model,
        messages: request.messages.into_iter().map(encode_message).collect(),
        tools: request.tools.into_iter().map(tool).collect(),
        tool_choice: request.tool_choice.map(choice),
        parallel_tool_calls: request.parallel_tool_calls,
        max_output_tokens: request.max_output_tokens,
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: request.top_k,
        frequency_penalty: request.frequency_penalty,
        presence_penalty: request.presence_penalty,
        stop: request.stop,
        seed: request.seed,
        candidate_count: request.candidate_count,
        response_format: request.response_format.map(format),
        reasoning: request.reasoning.map(reasoning),
        logprobs: request.top_logprobs.map(|top| v1::LogprobsRequest { top }),
        service_tier: request.service_tier,
        end_user: request.end_user,
        extras_json: request.extras,
        options: None,
    }
}

fn requests() -> impl Strategy<Value = v1::ChatRequest> {
    let said = ("[a-z/]{1,8}", vec(messages(), 1..4), vec("\\PC{0,4}", 0..3));
    let tools = (vec(tool(), 0..3), option::of(tool_choice()), any::<Option<bool>>());
    let sampling = (
        option::of(0.0..2.0),
        option::of(0.0..1.0),
        any::<Option<u32>>(),
        option::of(-2.0..2.0),
        option::of(-2.0..2.0),
        any::<Option<i64>>(),
    );
    let bounds = (any::<Option<u32>>(), any::<Option<u32>>(), option::of(0..=MOST_LOGPROBS));
    let form = (option::of(format()), option::of(reasoning()));
    let about = (option::of(text()), option::of(text()), extras());
    (said, tools, sampling, bounds, form, about).prop_map(
        |(
            (model, messages, stop),
            (tools, tool_choice, parallel_tool_calls),
            (temperature, top_p, top_k, frequency_penalty, presence_penalty, seed),
            (max_output_tokens, candidate_count, top_logprobs),
            (response_format, reasoning),
            (service_tier, end_user, extras_json),
        )| v1::ChatRequest {
            model,
            messages,
            tools,
            tool_choice,
            parallel_tool_calls,
            max_output_tokens,
            temperature,
            top_p,
            top_k,
            frequency_penalty,
            presence_penalty,
            stop,
            seed,
            candidate_count,
            response_format,
            reasoning,
            logprobs: top_logprobs.map(|top| v1::LogprobsRequest { top }),
            service_tier,
            end_user,
            extras_json,
            options: None,
        },
    )
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,8}"
}

fn json_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        Just("{ \"a\": [1.50, \"}\\\"\"] }".to_owned()),
        Just("null".to_owned())
    ]
}

fn messages() -> impl Strategy<Value = v1::Message> {
    let spoken = (1..=4_i32, vec(parts(true), 1..4));
    let results = (Just(5_i32), vec(tool_result_part(), 1..3));
    (prop_oneof![spoken, results], option::of(text())).prop_map(|((role, parts), name)| v1::Message {
        role,
        parts,
        name,
    })
}

fn parts(all: bool) -> BoxedStrategy<v1::Part> {
    use v1::part::Kind;
    let plain = prop_oneof![
        "\\PC{0,8}".prop_map(Kind::Text),
        media().prop_map(Kind::Image),
        media().prop_map(Kind::File),
    ];
    let others = prop_oneof![
        media().prop_map(Kind::Audio),
        text().prop_map(Kind::Refusal),
        ("\\PC{0,8}", option::of(text()), option::of(text())).prop_map(|(text, signature, encrypted)| {
            Kind::Reasoning(v1::ReasoningPart { text, signature, encrypted })
        }),
        (text(), text(), "\\PC{0,8}", option::of(text())).prop_map(
            |(id, name, arguments_json, signature)| {
                Kind::ToolCall(v1::ToolCall { id, name, arguments_json, signature })
            }
        ),
        (text(), json_text()).prop_map(|(dialect, json)| Kind::Opaque(v1::OpaquePart { dialect, json })),
    ];
    let kinds = if all { prop_oneof![plain, others].boxed() } else { plain.boxed() };
    (kinds, option::of(json_text()), vec(citation(), 0..2))
        .prop_map(|(kind, cache_control_json, citations)| v1::Part {
            kind: Some(kind),
            cache_control_json,
            citations,
        })
        .boxed()
}

fn citation() -> impl Strategy<Value = v1::Citation> {
    let words = (option::of(text()), option::of(text()), option::of(text()));
    let native = (text(), json_text()).prop_map(|(dialect, json)| v1::OpaquePart { dialect, json });
    (words, option::of((0..9_u32, 9..20_u32)), option::of(native)).prop_map(
        |((url, title, cited_text), span, native)| {
            let span = span.map(|(start, end)| v1::CharacterSpan { start, end });
            v1::Citation { url, title, cited_text, span, native }
        },
    )
}

fn tool_result_part() -> impl Strategy<Value = v1::Part> {
    (text(), option::of(text()), vec(parts(false), 0..3), any::<bool>()).prop_map(
        |(tool_call_id, name, parts, is_error)| v1::Part {
            kind: Some(v1::part::Kind::ToolResult(v1::ToolResult { tool_call_id, name, parts, is_error })),
            ..v1::Part::default()
        },
    )
}

fn media() -> impl Strategy<Value = v1::Media> {
    use v1::media::Source;
    let source = prop_oneof![
        text().prop_map(Source::Url),
        vec(any::<u8>(), 1..8).prop_map(|data| Source::Data(data.into())),
        text().prop_map(Source::FileId),
    ];
    (source, "[a-z]{1,4}/[a-z]{1,4}", option::of(text()), option::of(text())).prop_map(
        |(source, mime_type, filename, detail)| v1::Media {
            source: Some(source),
            mime_type,
            filename,
            detail,
        },
    )
}

fn tool() -> impl Strategy<Value = v1::Tool> {
    let parameters = prop_oneof![Just(String::new()), json_text()];
    (text(), option::of(text()), parameters, any::<Option<bool>>()).prop_map(
        |(name, description, parameters_json, strict)| v1::Tool {
            name,
            description,
            parameters_json,
            strict,
        },
    )
}

fn tool_choice() -> impl Strategy<Value = v1::ToolChoice> {
    let unnamed = (1..=3_i32, Just(String::new()));
    let named = (Just(i32::from(Mode::Named)), text());
    prop_oneof![unnamed, named].prop_map(|(mode, name)| v1::ToolChoice { mode, name })
}

fn format() -> impl Strategy<Value = v1::ResponseFormat> {
    let schema = (text(), option::of(text()), json_text(), any::<Option<bool>>());
    prop_oneof![
        Just(FormatKind::Text(v1::TextFormat {})),
        Just(FormatKind::JsonObject(v1::JsonObjectFormat {})),
        schema.prop_map(|(name, description, schema_json, strict)| {
            FormatKind::JsonSchema(v1::JsonSchemaFormat { name, description, schema_json, strict })
        }),
    ]
    .prop_map(|kind| v1::ResponseFormat { kind: Some(kind) })
}

fn reasoning() -> impl Strategy<Value = v1::Reasoning> {
    (option::of(text()), any::<Option<u32>>(), any::<Option<bool>>()).prop_map(
        |(effort, budget_tokens, include_text)| v1::Reasoning { effort, budget_tokens, include_text },
    )
}

fn extras() -> impl Strategy<Value = BTreeMap<String, String>> {
    vec(("[a-z_]{1,6}\\.[a-z_]{1,6}", json_text()), 0..3).prop_map(BTreeMap::from_iter)
}
