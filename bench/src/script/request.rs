//! Request bodies: Chat Completions with a script inside, of a given size.

use bytes::{Buf as _, Bytes, buf::Chain};
use http_body_util::Full;

use super::{Script, filler};

/// The model that every request asks for.
pub(crate) const MODEL: &str = "bench";

/// Makes the bodies of requests that are alike but for their number. The long part is made once and shared.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    script: Script,
    filler: Bytes,
    /// The checksum of the text that follows the script: the upstream answers it.
    pub(crate) prompt_crc: u32,
}

/// A body as it is sent.
pub(crate) type Body = Full<Chain<Bytes, Bytes>>;

const END: &str = "\"}]}";

impl Bodies {
    /// Bodies of `size` bytes (or as many as the script needs) that ask for what `script` says.
    pub(crate) fn new(script: Script, size: usize) -> Self {
        let around = head(&script).len() + END.len();
        let text = filler(size.saturating_sub(around));
        let prompt_crc = crc32fast::hash(text.as_bytes());
        Self { script, filler: Bytes::from(text + END), prompt_crc }
    }

    /// What the request of that number asks for.
    pub(crate) fn script(&self, seq: u64) -> Script {
        Script { seq, ..self.script }
    }

    /// The body of the request of that number.
    pub(crate) fn body(&self, seq: u64) -> Body {
        Full::new(Bytes::from(head(&self.script(seq))).chain(self.filler.clone()))
    }
}

fn head(script: &Script) -> String {
    let stream = if script.chunks > 0 { "\"stream\":true," } else { "" };
    format!(
        "{{\"model\":\"{MODEL}\",{stream}\"temperature\":0.7,\"messages\":[{{\"role\":\"system\",\"content\":\
         \"You measure.\"}},{{\"role\":\"user\",\"content\":\"{script}"
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn a_body_is_json_of_the_size_that_was_asked_for() {
        let script = Script { seq: 0, answer_bytes: 1024, chunks: 5, chunk_bytes: 280, pace_us: 0 };
        let bodies = Bodies::new(script, 1024);
        let bytes = bodies.body(42).collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len(), 1024);
        let json: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((json["model"].as_str(), json["stream"].as_bool()), (Some(MODEL), Some(true)));
        let (found, text) = Script::find(&bytes).unwrap();
        assert_eq!(found, Script { seq: 42, ..script });
        assert_eq!(crc32fast::hash(text), bodies.prompt_crc);
    }
}
