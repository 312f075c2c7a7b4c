//! A whole answer's signals. The top level is scanned and only the small members are parsed, so that a megabyte of embeddings
//! costs one pass over its bytes. The choices are parsed only where the provider has not counted tokens: then their length is
//! what an estimate starts from.

use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::{chunk::ChunkChoice, content, error::stream_error, usage};
use crate::{
    call::Signals,
    chat::Finish,
    dialect::{
        Dialect,
        scan::{self, Object, closing_quote},
    },
};

/// Reads the signals of a whole answer. An answer without the field that holds what was asked is a failure under a 200.
pub(crate) fn inspect(body: &Bytes, dialect: Dialect) -> Signals {
    let answer_field = match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => "choices",
        Dialect::OpenAiResponses => "output",
        _ => "data",
    };
    let mut signals = Signals::default();
    let Ok(object) = Object::scan(body, usize::MAX) else {
        signals.error = Some(stream_error(body, dialect));
        return signals;
    };
    signals.usage = object.get("usage").and_then(usage::read);
    signals.model =
        object.get("model").and_then(scan::string).map(Into::into).filter(|model: &String| !model.is_empty());
    let answer = object.get_non_null(answer_field);
    if answer.is_none() || object.get_non_null("error").is_some() {
        signals.error = Some(stream_error(body, dialect));
        return signals;
    }
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => {
            let choices = answer.unwrap_or_default();
            if signals.usage.is_some() {
                signals.content = begins_with_object(choices);
                signals.finish = last_finish(choices);
            } else {
                read_choices(choices, &mut signals);
            }
        }
        // Responses read their answers by themselves.
        Dialect::OpenAiResponses => {}
        _ => {
            signals.content = begins_with_object(answer.unwrap_or_default());
        }
    }
    signals
}

/// Whether an array holds something.
fn begins_with_object(array: &[u8]) -> bool {
    let inner = array.strip_prefix(b"[").unwrap_or_default();
    inner.trim_ascii_start().first() == Some(&b'{')
}

/// Why the last choice ended. Inside a string the name's quotes would be escaped, so what is found is a member.
fn last_finish(choices: &[u8]) -> Option<Finish> {
    let name: &[u8] = b"\"finish_reason\"";
    let value =
        choices[memmem::rfind(choices, name)? + name.len()..].trim_ascii_start().strip_prefix(b":")?;
    let value = value.trim_ascii_start();
    let end = closing_quote(value.strip_prefix(b"\"")?)? + 2;
    scan::string(&value[..end]).map(|native| content::finish(native.into_owned()))
}

fn read_choices(json: &[u8], signals: &mut Signals) {
    // As text: the parser would check each string for itself.
    let json = std::str::from_utf8(json).unwrap_or_default();
    let choices = serde_json::from_str::<Vec<ChunkChoice<'_>>>(json).unwrap_or_else(|_| {
        // One that looks strange does not hide the others.
        let choices: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
        choices.into_iter().filter_map(|json| serde_json::from_str(json.get()).ok()).collect()
    });
    for choice in choices {
        // Perplexity's whole answers hold an empty delta beside the message.
        choice.tell(choice.message.as_ref(), signals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Usage;

    fn signals(body: &str, dialect: Dialect) -> Signals {
        inspect(&Bytes::copy_from_slice(body.as_bytes()), dialect)
    }

    #[test]
    fn a_chat_answer_tells_its_signals() {
        let body = r#"{"model":"m","choices":[{"message":{"content":"hi"},"finish_reason":"length"}],
            "usage":{"prompt_tokens":1,"completion_tokens":2},"error":null}"#;
        let signals = signals(body, Dialect::OpenAiChat);
        assert!(signals.content && signals.error.is_none());
        assert_eq!(signals.model.as_deref(), Some("m"));
        assert_eq!(signals.finish.unwrap().native, "length");
        assert_eq!(signals.usage, Some(Usage { prompt: 1, completion: 2, ..Usage::default() }));
    }

    #[test]
    fn an_answer_whose_tokens_are_not_counted_is_measured() {
        let body = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"length"}]}"#;
        let signals = signals(body, Dialect::OpenAiChat);
        assert!(signals.content && signals.usage.is_none());
        assert_eq!(signals.finish.unwrap().native, "length");
        assert_eq!(signals.output_bytes, "hi".len());
    }

    #[test]
    fn what_an_answer_says_of_endings_is_no_ending() {
        let end = |choices: &str| {
            let body = format!(r#"{{"choices":[{choices}],"usage":{{"total_tokens":1}}}}"#);
            signals(&body, Dialect::OpenAiChat).finish.map(|finish| finish.native)
        };
        let quoting = r#"{"finish_reason" : "a\"b","message":{"content":"\"finish_reason\":\"no\""}}"#;
        assert_eq!(end(quoting).as_deref(), Some("a\"b"));
        assert_eq!(end(r#"{"finish_reason":"one"},{"finish_reason":"two"}"#).as_deref(), Some("two"));
        assert_eq!(end(r#"{"finish_reason":null}"#), None);
        assert_eq!(end(r#"{"message":{}}"#), None);
    }

    #[test]
    fn embeddings_are_content() {
        let body =
            r#"{"data":[{"embedding":[0.1]}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        let signals = signals(body, Dialect::OpenAiEmbeddings);
        assert!(signals.content && signals.error.is_none());
        assert_eq!(signals.usage, Some(Usage { prompt: 3, ..Usage::default() }));
        assert_eq!(signals.output_bytes, 0, "vectors are no tokens");
    }

    #[test]
    fn an_error_under_a_200_is_an_error() {
        for body in [
            r#"{"error":{"message":"overloaded","type":"server_error"}}"#,
            r#"{"error":"overloaded"}"#,
            r#"{"object":"error","message":"overloaded"}"#,
            r#"{"choices":[],"error":{"message":"overloaded"}}"#,
        ] {
            let error = signals(body, Dialect::OpenAiChat).error.unwrap();
            assert_eq!(error.message, "overloaded", "{body}");
            assert_eq!(error.upstream.unwrap().status, 200);
        }
        assert!(signals("<html>", Dialect::OpenAiChat).error.is_some());
        assert!(signals("{}", Dialect::OpenAiEmbeddings).error.is_some());
    }
}
