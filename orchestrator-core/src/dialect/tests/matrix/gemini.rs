//! Reads Gemini's generateContent as its reference has it.

use serde_json::Value;

use super::said::{Choice, Ending, Said, Tokens, count, list, text};

pub(super) fn whole(json: &Value) -> Said {
    let mut said = Said::default();
    chunk(&mut said, json);
    said.complete = true;
    said
}

/// A stream ends with a reason for each candidate, or with the prompt's block.
pub(super) fn stream(events: &[(String, String)]) -> Said {
    let mut said = Said::default();
    for (_, data) in events {
        chunk(&mut said, &serde_json::from_str(data).unwrap());
    }
    let ended = said.choices.values().all(|choice| !choice.finishes.is_empty());
    said.complete = ended && !said.choices.is_empty() && !said.error;
    said
}

fn chunk(said: &mut Said, json: &Value) {
    if json["error"].is_object() {
        said.error = true;
        return;
    }
    for candidate in list(&json["candidates"]) {
        let choice = said.choice(candidate["index"].as_u64().unwrap_or_default());
        for part in list(&candidate["content"]["parts"]) {
            self::part(choice, part);
        }
        for chunk in list(&candidate["groundingMetadata"]["groundingChunks"]) {
            let source = chunk.as_object().and_then(|chunk| chunk.values().next()).unwrap_or(&Value::Null);
            choice.source(&source["uri"], &source["title"]);
        }
        for source in list(&candidate["citationMetadata"]["citationSources"]) {
            choice.source(&source["uri"], &source["title"]);
        }
        for source in list(&candidate["citationMetadata"]["citations"]) {
            choice.source(&source["uri"], &source["title"]);
        }
        choice.finishes.extend(ending(&candidate["finishReason"]));
    }
    if json["promptFeedback"]["blockReason"].is_string() {
        said.choice(0).finishes.push(Ending::Filter);
    }
    let usage = &json["usageMetadata"];
    if usage.is_object() && (usage["promptTokenCount"].is_number() || usage["totalTokenCount"].is_number()) {
        let thoughts = count(&usage["thoughtsTokenCount"]);
        let prompt = count(&usage["promptTokenCount"]) + count(&usage["toolUsePromptTokenCount"]);
        said.usage = Some(Tokens {
            prompt,
            completion: count(&usage["candidatesTokenCount"]) + thoughts,
            cached: count(&usage["cachedContentTokenCount"]),
            reasoning: Some(thoughts),
            total: usage["totalTokenCount"].as_u64(),
        });
    }
}

fn part(choice: &mut Choice, part: &Value) {
    if part["functionCall"].is_object() {
        let call = &part["functionCall"];
        let arguments = if call["args"].is_null() { "{}".to_owned() } else { call["args"].to_string() };
        choice.calls.push((text(&call["name"]).to_owned(), arguments));
    } else if part["thought"] == true {
        choice.reasoning.push_str(text(&part["text"]));
    } else {
        choice.text.push_str(text(&part["text"]));
    }
}

fn ending(reason: &Value) -> Option<Ending> {
    let reason = match reason {
        // Old recordings of Vertex hold the numbers of the enumeration.
        Value::Number(number) if number.as_u64() == Some(2) => "MAX_TOKENS",
        Value::Number(number) if number.as_u64().is_some_and(|number| number > 2) => "SAFETY",
        Value::Number(_) => "STOP",
        other => text(other),
    };
    Some(match reason {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "MAX_TOKENS" => Ending::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Ending::Filter,
        _ => Ending::Stop,
    })
}
