//! Reads OpenAI Chat Completions as its documentation and the servers that imitate it have them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::said::{Ending, Said, Tokens, count, list, text};

pub(super) fn whole(json: &Value) -> Said {
    let mut reader = Reader::default();
    reader.chunk(json, "message");
    reader.said.complete = true;
    reader.said
}

pub(super) fn stream(events: &[(String, String)]) -> Said {
    let mut reader = Reader::default();
    for (name, data) in events {
        if data == "[DONE]" {
            reader.said.complete = true;
            continue;
        }
        let json: Value = serde_json::from_str(data).unwrap();
        if name == "error" {
            reader.said.error = true;
        }
        reader.chunk(&json, "delta");
    }
    // Perplexity leaves `[DONE]` out.
    reader.said.complete |= reader.said.ended() && !reader.said.error;
    reader.said
}

#[derive(Default)]
struct Reader {
    said: Said,
    /// Where the calls of a choice and an index stand; which id was seen there.
    calls: BTreeMap<(u64, u64), (usize, String)>,
    plain_reasoning: bool,
}

impl Reader {
    fn chunk(&mut self, json: &Value, field: &str) {
        if json["error"].is_object() || json["object"] == "error" {
            self.said.error = true;
            self.tokens(&json["usage"]);
            return;
        }
        for (position, choice) in list(&json["choices"]).enumerate() {
            let index = choice["index"].as_u64().unwrap_or(position as u64);
            let message = if choice[field].is_object() { &choice[field] } else { &choice["message"] };
            self.message(index, message);
            if text(&message["content"]).is_empty() && !message["content"].is_array() {
                // Together's chunks say the same in both.
                self.said.choice(index).text.push_str(text(&choice["text"]));
            }
            if let Some(ending) = ending(text(&choice["finish_reason"])) {
                // OpenRouter repeats a choice's end together with its usage.
                let finishes = &mut self.said.choice(index).finishes;
                if finishes.is_empty() || json["provider"].is_null() {
                    finishes.push(ending);
                }
            }
        }
        for source in list(&json["citations"]) {
            self.said.choice(0).source(source, &Value::Null);
        }
        self.tokens(&json["usage"]);
        self.tokens(&json["x_groq"]["usage"]);
    }

    fn message(&mut self, index: u64, message: &Value) {
        let choice = self.said.choice(index);
        choice.text.push_str(text(&message["content"]));
        for part in list(&message["content"]) {
            choice.text.push_str(text(&part["text"]));
            for thought in list(&part["thinking"]) {
                choice.reasoning.push_str(text(&thought["text"]));
            }
        }
        let plain = [&message["reasoning_content"], &message["reasoning"]];
        let plain = plain.into_iter().map(text).find(|text| !text.is_empty());
        self.plain_reasoning |= plain.is_some();
        choice.reasoning.push_str(plain.unwrap_or_default());
        if !self.plain_reasoning {
            for detail in list(&message["reasoning_details"]) {
                choice.reasoning.push_str(text(&detail["text"]));
                choice.reasoning.push_str(text(&detail["summary"]));
            }
        }
        choice.refusal.push_str(text(&message["refusal"]));
        for annotation in list(&message["annotations"]) {
            choice.source(&annotation["url_citation"]["url"], &annotation["url_citation"]["title"]);
        }
        for (position, call) in list(&message["tool_calls"]).enumerate() {
            if call["type"].is_null() || call["type"] == "function" || call["type"] == "" {
                let at = call["index"].as_u64().unwrap_or(position as u64);
                self.call(index, at, text(&call["id"]), &call["function"]);
            }
        }
        if message["function_call"].is_object() {
            self.call(index, 0, "", &message["function_call"]);
        }
    }

    fn call(&mut self, choice: u64, at: u64, id: &str, function: &Value) {
        let calls = &mut self.said.choices.entry(choice).or_default().calls;
        let known = self.calls.get(&(choice, at)).filter(|(_, seen)| id.is_empty() || seen == id);
        let place = known.map_or(calls.len(), |(place, _)| *place);
        if place == calls.len() {
            calls.push((String::new(), String::new()));
            self.calls.insert((choice, at), (place, id.to_owned()));
        }
        if calls[place].0.is_empty() {
            calls[place].0.push_str(text(&function["name"]));
        }
        match &function["arguments"] {
            Value::String(piece) => calls[place].1.push_str(piece),
            Value::Null => {}
            object => calls[place].1.push_str(&object.to_string()),
        }
    }

    fn tokens(&mut self, usage: &Value) {
        if !usage.is_object() {
            return;
        }
        let details = &usage["completion_tokens_details"];
        let prompt = count(&usage["prompt_tokens"]);
        let total = count(&usage["total_tokens"]);
        let cached = [&usage["prompt_tokens_details"]["cached_tokens"], &usage["prompt_cache_hit_tokens"]];
        // xAI and Gemini's compatible endpoint count reasoning apart; their totals tell.
        let completion = count(&usage["completion_tokens"]).max(total.saturating_sub(prompt));
        self.said.usage = Some(Tokens {
            prompt,
            completion,
            cached: cached.into_iter().map(count).find(|cached| *cached > 0).unwrap_or_default().min(prompt),
            reasoning: Some(count(&details["reasoning_tokens"])),
            total: usage["total_tokens"].as_u64(),
        });
    }
}

fn ending(reason: &str) -> Option<Ending> {
    Some(match reason {
        "" => return None,
        "length" | "model_length" => Ending::Length,
        "tool_calls" | "function_call" => Ending::Calls,
        "content_filter" => Ending::Filter,
        _ => Ending::Stop,
    })
}
