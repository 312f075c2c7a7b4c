//! What the upstream answers: bodies and events in OpenAI's form.
//!
//! A content is fields between `;`, the last of them the checksum of what stands before it: `b;SEQ;PROMPT;FILLER;CRC` in a whole
//! answer (PROMPT is the checksum of the prompt as it arrived), `b;SEQ;INDEX;MADE_AT;FILLER;CRC` in a chunk (MADE_AT in
//! microseconds since 1970).

use super::{Script, filler};

const WHOLE_HEAD: &str = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1795230128,\"model\":\
    \"bench-upstream\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
const WHOLE_TAIL: &str = "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":200,\"completion_tokens\":100,\"total_tokens\":300}}";
const CHUNK_HEAD: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795230128,\"model\":\
    \"bench-upstream\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
const CHUNK_TAIL: &str = "\"},\"finish_reason\":null}]}\n\n";
const FINISH: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795230128,\"model\":\
    \"bench-upstream\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1795230128,\"model\":\
    \"bench-upstream\",\"choices\":[],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":100,\"total_tokens\":300}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// What stands in a content besides the filler, at the widest.
const FIELDS: usize = 48;

/// A whole answer to `script`, whose prompt arrived with that checksum.
pub(crate) fn whole(script: &Script, prompt_crc: u32) -> String {
    let filler = filler(script.answer_bytes.saturating_sub(WHOLE_HEAD.len() + WHOLE_TAIL.len() + FIELDS));
    let content = sealed(format!("b;{};{prompt_crc:08x};{filler};", script.seq));
    format!("{WHOLE_HEAD}{content}{WHOLE_TAIL}")
}

/// The filler of a stream's chunks: the same for each of them.
pub(crate) fn chunk_filler(script: &Script) -> String {
    filler(script.chunk_bytes.saturating_sub(CHUNK_HEAD.len() + CHUNK_TAIL.len() + FIELDS))
}

/// The event of chunk `index`, made at `made_at`.
pub(crate) fn chunk(seq: u64, index: u64, made_at: i64, filler: &str) -> String {
    let content = sealed(format!("b;{seq};{index};{made_at};{filler};"));
    [CHUNK_HEAD, &content, CHUNK_TAIL].concat()
}

/// What ends a stream: the finish reason, the usage if it was asked for, and the terminator.
pub(crate) fn end(with_usage: bool) -> String {
    [FINISH, if with_usage { USAGE } else { "" }, DONE].concat()
}

fn sealed(content: String) -> String {
    let crc = crc32fast::hash(content.as_bytes());
    format!("{content}{crc:08x}")
}
