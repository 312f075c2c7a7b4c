//! Bodies of requests, of about the size that is asked for.

use bytes::Bytes;

/// As prose is in JSON: an escape every hundred bytes or so.
const SENTENCES: &str = "The committee met on Tuesday to discuss the new library, and several members had \\\"concerns\\\" \
    about its cost. Most of them agreed in the end that the old building would not last another winter.\\n";

/// What a message of prose holds.
const MESSAGE_BYTES: usize = 4 * 1024;

/// Messages of prose, and the usual settings around them.
pub(crate) fn of_text(bytes: usize) -> Bytes {
    let around = request("").len();
    let mut messages = Vec::new();
    let mut left = bytes - around;
    while left > 0 {
        let text = SENTENCES.repeat(left.min(MESSAGE_BYTES).div_ceil(SENTENCES.len()));
        let message = format!(r#"{{"role":"user","content":"{text}"}}"#);
        left = left.saturating_sub(message.len() + 1);
        messages.push(message);
    }
    Bytes::from(request(&messages.join(",")))
}

/// One message with one picture.
pub(crate) fn of_an_image(bytes: usize) -> Bytes {
    let picture = "iVBORw0KGgoAAAANSUhEUgAAB9AAAAfQCAYAAACaOMR5".repeat(bytes / 44);
    Bytes::from(request(&format!(
        r#"{{"role":"user","content":[{{"type":"text","text":"What is this?"}},
        {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}]}}"#
    )))
}

fn request(messages: &str) -> String {
    format!(
        r#"{{"model":"gpt-4.1-mini","messages":[{{"role":"system","content":"You are a helpful assistant."}},{messages}],
        "temperature":0.7,"max_completion_tokens":512,"stream":true,"user":"user-1234","seed":42,"top_p":0.95}}"#
    )
}
