//! Reads Anthropic Messages as its documentation has them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::said::{Choice, Ending, Said, Tokens, count, list, text};

pub(super) fn whole(json: &Value) -> Said {
    let mut said = Said { complete: true, ..Said::default() };
    for block in list(&json["content"]) {
        self::block(said.choice(0), block);
    }
    said.choice(0).finishes.extend(ending(text(&json["stop_reason"])));
    said.usage = tokens(&json["usage"]);
    said
}

fn block(choice: &mut Choice, block: &Value) {
    match text(&block["type"]) {
        "text" => {
            choice.text.push_str(text(&block["text"]));
            for citation in list(&block["citations"]) {
                cited(choice, citation);
            }
        }
        "thinking" => choice.reasoning.push_str(text(&block["thinking"])),
        "tool_use" => choice.calls.push((text(&block["name"]).to_owned(), block["input"].to_string())),
        _ => {}
    }
}

fn cited(choice: &mut Choice, citation: &Value) {
    let url = [&citation["url"], &citation["source"]].into_iter().find(|it| it.is_string());
    let title = [&citation["title"], &citation["document_title"]].into_iter().find(|it| it.is_string());
    choice.source(url.unwrap_or(&Value::Null), title.unwrap_or(&Value::Null));
}

/// Panics when blocks are interleaved, end twice, or do not end.
pub(super) fn stream(events: &[(String, String)]) -> Said {
    let mut said = Said::default();
    let mut open: Option<u64> = None;
    let mut calls: BTreeMap<u64, usize> = BTreeMap::new();
    let mut usage = Map::new();
    for (name, data) in events {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, text(&event["type"]), "an event is called what it is");
        let index = event["index"].as_u64().unwrap_or_default();
        match name.as_str() {
            "message_start" => merge(&mut usage, &event["message"]["usage"]),
            "content_block_start" => {
                assert_eq!(open.replace(index), None, "blocks follow one another");
                let started = &event["content_block"];
                if started["type"] == "tool_use" {
                    calls.insert(index, said.choice(0).calls.len());
                    said.choice(0).calls.push((text(&started["name"]).to_owned(), String::new()));
                } else {
                    block(said.choice(0), started);
                }
            }
            "content_block_delta" => {
                assert_eq!(open, Some(index), "a delta belongs to the open block");
                delta(said.choice(0), &event["delta"], calls.get(&index).copied());
            }
            "content_block_stop" => assert_eq!(open.take(), Some(index), "the open block ends"),
            "message_delta" => {
                merge(&mut usage, &event["usage"]);
                said.choice(0).finishes.extend(ending(text(&event["delta"]["stop_reason"])));
            }
            "message_stop" => {
                assert_eq!(open, None, "every block has ended");
                said.complete = true;
            }
            "error" => said.error = true,
            _ => {}
        }
    }
    said.usage = tokens(&Value::Object(usage));
    said
}

fn delta(choice: &mut Choice, delta: &Value, call: Option<usize>) {
    match text(&delta["type"]) {
        "text_delta" => choice.text.push_str(text(&delta["text"])),
        "thinking_delta" => choice.reasoning.push_str(text(&delta["thinking"])),
        "citations_delta" => cited(choice, &delta["citation"]),
        "input_json_delta" => {
            // The input of a tool that the provider itself executes is no call.
            if let Some(call) = call {
                choice.calls[call].1.push_str(text(&delta["partial_json"]));
            }
        }
        _ => {}
    }
}

/// Counts are cumulative: a later one replaces an earlier one, unless it is null.
fn merge(usage: &mut Map<String, Value>, later: &Value) {
    for (name, value) in later.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        usage.insert(name.clone(), value.clone());
    }
}

fn tokens(usage: &Value) -> Option<Tokens> {
    let cached = count(&usage["cache_read_input_tokens"]);
    usage["output_tokens"].is_number().then(|| Tokens {
        prompt: count(&usage["input_tokens"]) + cached + count(&usage["cache_creation_input_tokens"]),
        completion: count(&usage["output_tokens"]),
        cached,
        reasoning: usage["output_tokens_details"]["thinking_tokens"].as_u64(),
        total: None,
    })
}

fn ending(reason: &str) -> Option<Ending> {
    Some(match reason {
        "" => return None,
        "max_tokens" | "model_context_window_exceeded" => Ending::Length,
        "tool_use" => Ending::Calls,
        "refusal" => Ending::Filter,
        _ => Ending::Stop,
    })
}
