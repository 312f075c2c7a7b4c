//! What a provider said in earlier turns, as a request brings it back: each vendor's assistant turns that made calls, and whether
//! the conversation ends with results. A vendor demands those turns as they were said; [`missing`] tells what is not.

use serde_json::Value;

use super::Operation;

/// The turns of a conversation that made calls.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// What each of them holds, in order: blocks, parts, items; on Chat the one message.
    pub(crate) calling: Vec<Vec<Value>>,
    /// Results came, and nothing was said to them yet.
    pub(crate) answered: bool,
}

/// Reads a request. Texts beside each other say the same as one text.
pub(crate) fn turns(operation: Operation, request: &Value) -> Turns {
    let mut turns = read(operation, request);
    for turn in &mut turns.calling {
        *turn = joined(turn);
    }
    turns
}

fn joined(items: &[Value]) -> Vec<Value> {
    let is_text = |item: &Value| ["text", "output_text"].iter().any(|kind| item["type"] == *kind);
    let mut joined: Vec<Value> = Vec::new();
    for item in items {
        let mut item = item.clone();
        if let Some(content) = item["content"].as_array() {
            item["content"] = self::joined(content).into();
        }
        match joined.last_mut().filter(|last| is_text(last) && is_text(&item)) {
            Some(last) => {
                let both = [&last["text"], &item["text"]].map(|text| text.as_str().unwrap_or_default());
                last["text"] = both.concat().into();
            }
            None => joined.push(item),
        }
    }
    joined
}

fn read(operation: Operation, request: &Value) -> Turns {
    let list = |field: &str| request[field].as_array().map_or(&[][..], Vec::as_slice);
    match operation {
        Operation::Messages => of_messages(list("messages"), "content", "tool_use", "tool_result"),
        Operation::GenerateContent | Operation::StreamGenerateContent => {
            of_messages(list("contents"), "parts", "functionCall", "functionResponse")
        }
        Operation::Responses => of_items(list("input")),
        _ => of_chat(list("messages")),
    }
}

/// Messages that hold a list: of blocks with a type, or of parts that are known by a member.
fn of_messages(messages: &[Value], field: &str, call: &str, result: &str) -> Turns {
    let mut turns = Turns::default();
    for message in messages {
        let holds = |kind: &str| {
            let list = message[field].as_array().into_iter().flatten();
            list.into_iter().any(|item| item["type"] == kind || !item[kind].is_null())
        };
        if holds(call) {
            turns.calling.push(message[field].as_array().cloned().unwrap_or_default());
        }
        let spoke = message["role"] == "assistant" || message["role"] == "model";
        turns.answered = holds(result) || (turns.answered && !spoke);
    }
    turns
}

fn of_chat(messages: &[Value]) -> Turns {
    let calls = |message: &&Value| message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty());
    let plain = |message: &Value| {
        let mut message = message.clone();
        if let Some(parts) = message["content"].as_array() {
            message["content"] =
                parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>().into();
        }
        vec![message]
    };
    Turns {
        calling: messages.iter().filter(calls).map(plain).collect(),
        answered: messages
            .iter()
            .rfind(|message| message["role"] == "tool" || message["role"] == "assistant")
            .is_some_and(|message| message["role"] == "tool"),
    }
}

/// Items of one turn stand beside each other until its first result.
fn of_items(items: &[Value]) -> Turns {
    let mut turns = Turns::default();
    let mut turn: Vec<Value> = Vec::new();
    for item in items {
        if item["type"] == "function_call_output" {
            turns.answered = true;
            if turn.iter().any(|item| item["type"] == "function_call") {
                turns.calling.push(std::mem::take(&mut turn));
            }
        } else if ["user", "system", "developer"].iter().any(|role| item["role"] == *role) {
            turn.clear();
        } else {
            turns.answered = false;
            turn.push(item.clone());
        }
    }
    turns
}

/// What of `said` a turn does not hold, in that order.
pub(super) fn missing(said: &[Value], turn: &[Value]) -> Vec<String> {
    let mut rest = turn.iter();
    let lacks = |wanted: &&Value| !rest.by_ref().any(|item| holds(wanted, item));
    said.iter()
        .filter(lacks)
        .map(|wanted| format!("what was said did not come back as it was: {wanted}"))
        .collect()
}

/// Whether all of `wanted` is in `found`, which may say more. JSON in a text is compared as what it means.
fn holds(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.iter().all(|(name, value)| found.get(name).is_some_and(|found| holds(value, found)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| holds(wanted, found))
        }
        (Value::String(wanted), Value::String(found)) => {
            let object = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
            wanted == found || object(wanted).is_some_and(|json| Some(json) == object(found))
        }
        _ => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_vendors_calling_turns_are_found() {
        let call = json!({"type": "tool_use", "id": "a"});
        let anthropic = json!({"messages": [
            {"role": "user", "content": "?"}, {"role": "assistant", "content": [call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ]});
        let gemini = json!({"contents": [
            {"role": "model", "parts": [{"functionCall": {}}]}, {"role": "user", "parts": [{"functionResponse": {}}]},
        ]});
        let chat = json!({"messages": [
            {"role": "assistant", "tool_calls": [{"id": "a"}]}, {"role": "tool", "tool_call_id": "a"},
        ]});
        let responses = json!({"input": [
            {"role": "user", "content": "?"}, {"type": "reasoning"}, {"type": "function_call"},
            {"type": "function_call_output"}, {"type": "function_call_output"},
        ]});
        for (operation, request, items) in [
            (Operation::Messages, anthropic, 1),
            (Operation::GenerateContent, gemini, 1),
            (Operation::ChatCompletions, chat, 1),
            (Operation::Responses, responses, 2),
        ] {
            let turns = turns(operation, &request);
            assert!(turns.answered, "{operation:?}");
            assert_eq!(turns.calling.iter().map(Vec::len).collect::<Vec<_>>(), [items], "{operation:?}");
        }
    }

    #[test]
    fn what_was_said_comes_back_whole_and_in_its_order() {
        let said = [json!({"type": "thinking", "signature": "s"}), json!({"arguments": r#"{"a":1,"b":2}"#})];
        let came = |turn: Value| missing(&said, turn.as_array().unwrap()).len();
        let good = json!({"type": "thinking", "signature": "s", "thinking": ""});
        let call = json!({"arguments": r#"{ "b": 2, "a": 1 }"#, "id": "x"});
        assert_eq!(came(json!([good, call])), 0);
        assert_eq!(came(json!([good, {"text": "in between"}, call])), 0);
        assert_eq!(came(json!([call])), 2, "nothing is left behind the thought that is missing");
        assert_eq!(came(json!([call, good])), 1);
        assert_eq!(came(json!([good, {"arguments": "{}"}])), 1);
        assert_eq!(came(json!([{"type": "thinking", "signature": "t"}, call])), 2);
    }
}
