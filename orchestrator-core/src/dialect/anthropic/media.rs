//! Pictures and documents: the `source` of a block, both ways.

use base64::Engine as _;
use bytes::Bytes;

use crate::{
    chat::{Media, MediaSource},
    dialect::{
        json::{Fields, ObjectWriter, must_be},
        openai_chat::media::{BASE64, bare, decode},
    },
    error::Result,
};

/// Reads a `source`; `None` for a kind that the hub has no word for.
pub(super) fn read(json: &str, path: &str) -> Result<Option<Media>> {
    let mut source = Fields::parse(json, path)?;
    let kind = source.required_string("type")?;
    let media = match kind.as_str() {
        "base64" => {
            let data = decode(&source.required_string("data")?, &source.path_of("data"))?;
            let mime_type = source.required_string("media_type")?;
            Media { mime_type, ..bare(MediaSource::Data(data)) }
        }
        "text" => {
            let data = Bytes::from(source.required_string("data")?);
            let mime_type = source.string("media_type")?.unwrap_or_else(|| "text/plain".to_owned());
            Media { mime_type, ..bare(MediaSource::Data(data)) }
        }
        "url" => bare(MediaSource::Url(source.required_string("url")?)),
        "file" => bare(MediaSource::FileId(source.required_string("file_id")?)),
        "content" => return Ok(None),
        _ => return Err(must_be(&source.path_of("type"), "`base64`, `text`, `url`, `file` or `content`")),
    };
    Ok(Some(media))
}

/// Writes a `source`.
pub(super) fn write(media: &Media) -> String {
    let mut out = ObjectWriter::new();
    match &media.source {
        MediaSource::Url(url) => {
            out.string("type", "url");
            out.string("url", url);
        }
        MediaSource::FileId(id) => {
            out.string("type", "file");
            out.string("file_id", id);
        }
        MediaSource::Data(data) => {
            if let Some(text) = text(media) {
                out.string("type", "text");
                out.string("media_type", "text/plain");
                out.string("data", text);
            } else {
                out.string("type", "base64");
                out.string("media_type", &mime_type(media, data));
                out.string("data", &BASE64.encode(data));
            }
        }
    }
    out.finish()
}

/// A document's text, where it is one.
fn text(media: &Media) -> Option<&str> {
    let MediaSource::Data(data) = &media.source else { return None };
    media.mime_type.starts_with("text/").then(|| std::str::from_utf8(data).ok()).flatten()
}

/// What is not said is taken from the data's first bytes.
fn mime_type(media: &Media, data: &[u8]) -> String {
    if !media.mime_type.is_empty() {
        return media.mime_type.clone();
    }
    let known: [(&[u8], &str); 4] = [
        (b"%PDF", "application/pdf"),
        (b"\x89PNG", "image/png"),
        (b"\xff\xd8", "image/jpeg"),
        (b"GIF8", "image/gif"),
    ];
    let found = known.iter().find(|(magic, _)| data.starts_with(magic));
    found.map_or("application/octet-stream", |(_, name)| name).to_owned()
}
