//! Reads OpenAI Responses as its reference has them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::said::{Choice, Ending, Said, Tokens, count, list, text};

pub(super) fn whole(json: &Value) -> Said {
    let mut said = Said { complete: true, ..Said::default() };
    let choice = said.choice(0);
    for item in list(&json["output"]) {
        self::item(choice, item);
    }
    end(&mut said, json);
    said
}

fn item(choice: &mut Choice, item: &Value) {
    match text(&item["type"]) {
        "message" => {
            for part in list(&item["content"]) {
                choice.text.push_str(text(&part["text"]));
                choice.refusal.push_str(text(&part["refusal"]));
                for annotation in list(&part["annotations"]) {
                    annotated(choice, annotation);
                }
            }
        }
        "reasoning" => {
            for part in list(&item["summary"]).chain(list(&item["content"])) {
                choice.reasoning.push_str(text(&part["text"]));
            }
        }
        "function_call" => {
            choice.calls.push((text(&item["name"]).to_owned(), text(&item["arguments"]).to_owned()));
        }
        _ => {}
    }
}

fn annotated(choice: &mut Choice, annotation: &Value) {
    let title = [&annotation["title"], &annotation["filename"]].into_iter().find(|it| it.is_string());
    choice.source(&annotation["url"], title.unwrap_or(&Value::Null));
}

/// Status and usage of a response that has ended.
fn end(said: &mut Said, response: &Value) {
    let incomplete = text(&response["incomplete_details"]["reason"]);
    let ending = match (text(&response["status"]), incomplete) {
        ("failed", _) => {
            said.error = true;
            None
        }
        ("incomplete", "content_filter") => Some(Ending::Filter),
        ("incomplete", _) => Some(Ending::Length),
        // One that works on in the background has not ended.
        ("queued" | "in_progress", _) => None,
        _ => Some(Ending::Stop),
    };
    said.choice(0).finishes.extend(ending);
    let usage = &response["usage"];
    if usage.is_object() {
        said.usage = Some(Tokens {
            prompt: count(&usage["input_tokens"]),
            completion: count(&usage["output_tokens"]),
            cached: count(&usage["input_tokens_details"]["cached_tokens"]),
            reasoning: Some(count(&usage["output_tokens_details"]["reasoning_tokens"])),
            total: usage["total_tokens"].as_u64(),
        });
    }
}

/// What the events say piece by piece. Panics when the response at the end says something else than its pieces.
pub(super) fn stream(events: &[(String, String)]) -> Said {
    let mut said = Said::default();
    let mut calls: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, data) in events {
        let event: Value = serde_json::from_str(data).unwrap();
        let output = event["output_index"].as_u64().unwrap_or_default();
        let choice = said.choice(0);
        match text(&event["type"]) {
            "response.output_text.delta" => choice.text.push_str(text(&event["delta"])),
            "response.refusal.delta" => choice.refusal.push_str(text(&event["delta"])),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                choice.reasoning.push_str(text(&event["delta"]));
            }
            "response.output_text.annotation.added" => annotated(choice, &event["annotation"]),
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                calls.insert(output, choice.calls.len());
                choice.calls.push((text(&event["item"]["name"]).to_owned(), String::new()));
            }
            "response.function_call_arguments.delta" => {
                choice.calls[calls[&output]].1.push_str(text(&event["delta"]));
            }
            "response.output_item.done" if event["item"]["type"] == "function_call" => {
                // Servers may send a call without pieces.
                let call = &mut choice.calls[calls[&output]];
                if call.1.is_empty() {
                    call.1 = text(&event["item"]["arguments"]).to_owned();
                }
            }
            "response.completed" | "response.incomplete" => {
                said.complete = true;
                end(&mut said, &event["response"]);
                same_at_the_end(&said, &event["response"]);
            }
            "response.failed" | "error" => said.error = true,
            _ => {}
        }
    }
    said
}

fn same_at_the_end(said: &Said, response: &Value) {
    let last = whole(response);
    let (pieces, whole) = (&said.choices[&0], &last.choices[&0]);
    // Some servers leave the output out of the last event.
    if response["output"].as_array().is_some_and(|output| !output.is_empty()) {
        assert_eq!(
            (&pieces.text, &pieces.refusal, &pieces.calls),
            (&whole.text, &whole.refusal, &whole.calls)
        );
    }
}
