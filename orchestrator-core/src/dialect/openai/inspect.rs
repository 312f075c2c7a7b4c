//! A whole answer's signals. The top level is scanned and only the small members are parsed, so that a megabyte of embeddings
//! costs one pass over its bytes.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    chunk::{ChunkChoice, Delta},
    content,
    error::stream_error,
    usage,
};
use crate::{
    call::Signals,
    dialect::{
        Dialect,
        scan::{self, Object},
    },
};

/// Reads the signals of a whole answer. An answer without the field that holds what was asked is a failure under a 200.
pub(crate) fn inspect(body: &Bytes, dialect: Dialect) -> Signals {
    let answer_field = match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => "choices",
        Dialect::OpenAiEmbeddings => "data",
        Dialect::OpenAiResponses => "output",
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
            read_choices(answer.unwrap_or_default(), &mut signals);
        }
        // Responses read their answers by themselves.
        Dialect::OpenAiResponses => {}
        Dialect::OpenAiEmbeddings => {
            let inner = answer.unwrap_or_default().strip_prefix(b"[").unwrap_or_default();
            signals.content = inner.trim_ascii_start().first() == Some(&b'{');
        }
    }
    signals
}

fn read_choices(json: &[u8], signals: &mut Signals) {
    // Choices are read one by one: one that looks strange does not hide the others.
    let choices: Vec<&RawValue> = serde_json::from_slice(json).unwrap_or_default();
    for json in choices {
        let Ok(choice) = serde_json::from_str::<ChunkChoice<'_>>(json.get()) else { continue };
        // Perplexity's whole answers hold an empty delta beside the message.
        let said = choice.message.as_ref().is_some_and(Delta::has_content);
        signals.content |= said || content::text(choice.text).is_some();
        signals.output_bytes +=
            content::length(choice.text) + choice.message.as_ref().map_or(0, Delta::length);
        if let Some(finish) = choice.finish() {
            signals.finish = Some(finish);
        }
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
        assert_eq!(signals.output_bytes, "hi".len());
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
