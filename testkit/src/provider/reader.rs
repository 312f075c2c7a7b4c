//! Reads one HTTP/1.1 request from a byte buffer: head, then a body by its length or in chunks (RFC 9112).
//!
//! Strict on purpose: what a lenient server forgives is what request smuggling lives on, so a gateway that sends it must be
//! told.

use bytes::{Buf as _, Bytes, BytesMut};

/// Ceilings: a test that goes beyond them is broken.
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A request's first part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    /// Path and query, as sent.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Head {
    /// Whether the client waits for leave before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.values("expect").any(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    /// Whether the client wants no further request on this connection.
    pub(super) fn closes(&self) -> bool {
        self.values("connection").any(|value| value.eq_ignore_ascii_case("close"))
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Takes a head off the buffer; `None` when it is not whole yet. An error says what is no HTTP/1.1.
pub(super) fn head(buffer: &mut BytesMut) -> Result<Option<Head>, String> {
    let Some(end) = find(buffer, b"\r\n\r\n") else {
        return if buffer.len() > MAX_HEAD {
            Err("the head is longer than 64 KiB".to_owned())
        } else {
            Ok(None)
        };
    };
    let text = buffer.split_to(end + 4);
    let text = std::str::from_utf8(&text[..end]).map_err(|_| "the head is not UTF-8".to_owned())?;
    let mut lines = text.split("\r\n");
    let request_line: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1"] = request_line[..] else {
        return Err(format!("no HTTP/1.1 request line: {request_line:?}"));
    };
    let mut headers = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Err(format!("a header without a colon: {line:?}"));
        };
        if name.is_empty() || name.contains([' ', '\t']) || line.contains(['\r', '\n']) {
            return Err(format!("a malformed header: {line:?}"));
        }
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut head =
        Head { method: method.to_owned(), target: target.to_owned(), headers, framing: Framing::Length(0) };
    head.framing = framing(&head)?;
    Ok(Some(head))
}

fn framing(head: &Head) -> Result<Framing, String> {
    let lengths: Vec<&str> = head.values("content-length").collect();
    let encodings: Vec<&str> = head.values("transfer-encoding").collect();
    match (&lengths[..], &encodings[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([], ["chunked"]) => Ok(Framing::Chunked),
        ([length], []) => match length.parse() {
            Ok(length) if length <= MAX_BODY => Ok(Framing::Length(length)),
            _ => Err(format!("content-length {length:?}")),
        },
        _ => Err(format!("ambiguous framing: content-length {lengths:?}, transfer-encoding {encodings:?}")),
    }
}

/// Takes the head's body off the buffer; `None` when it is not whole yet.
pub(super) fn body(head: &Head, buffer: &mut BytesMut) -> Result<Option<Bytes>, String> {
    match head.framing {
        Framing::Length(length) if buffer.len() < length => Ok(None),
        Framing::Length(length) => Ok(Some(buffer.split_to(length).freeze())),
        Framing::Chunked => chunked(buffer),
    }
}

/// Reads from the start each time that more bytes are there: quadratic, and requests are small.
fn chunked(buffer: &mut BytesMut) -> Result<Option<Bytes>, String> {
    let mut rest: &[u8] = buffer;
    let mut body = BytesMut::new();
    loop {
        let Some(end) = find(rest, b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| format!("chunk size {line:?}"))?;
        if body.len() + size > MAX_BODY {
            return Err("the body is longer than 64 MiB".to_owned());
        }
        rest.advance(end + 2);
        if rest.len() < size + 2 {
            return Ok(None);
        }
        if &rest[size..size + 2] != b"\r\n" {
            return Err(if size == 0 {
                "trailers".to_owned()
            } else {
                "a chunk longer than its size".to_owned()
            });
        }
        body.extend_from_slice(&rest[..size]);
        rest.advance(size + 2);
        if size == 0 {
            let used = buffer.len() - rest.len();
            buffer.advance(used);
            return Ok(Some(body.freeze()));
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &str) -> Result<Option<(Head, Bytes)>, String> {
        let mut buffer = BytesMut::from(wire);
        let Some(head) = head(&mut buffer)? else { return Ok(None) };
        Ok(body(&head, &mut buffer)?.map(|body| (head, body)))
    }

    #[test]
    fn bodies_come_by_length_or_in_chunks() {
        let wires = [
            "POST /v1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "POST /v1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        ];
        for wire in wires {
            for end in 0..wire.len() {
                assert_eq!(
                    read(&wire[..end]).map(|read| read.is_some()),
                    Ok(false),
                    "{end} bytes of {wire:?}"
                );
            }
            let (head, body) = read(wire).unwrap().unwrap();
            assert_eq!(
                (head.method.as_str(), head.target.as_str(), &body[..]),
                ("POST", "/v1", &b"hello"[..])
            );
        }
    }

    #[test]
    fn what_smuggling_lives_on_is_refused() {
        let refused = [
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nx: a\nb: c\r\n\r\n",
            "POST / HTTP/1.1\r\nname : x\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
            "GET /\r\n\r\n",
        ];
        for wire in refused {
            assert!(read(wire).is_err(), "{wire:?}");
        }
    }
}
