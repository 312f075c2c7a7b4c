//! Pictures, documents and sound: their parts in Chat, and `data:` URLs (<https://www.rfc-editor.org/rfc/rfc2397>).

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;

use crate::{
    chat::{Media, MediaSource},
    dialect::json::{Fields, ObjectWriter, must_be, string_at},
    error::Result,
};

/// Standard base64, padded when written, padded or not when read.
pub(in crate::dialect) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads an `image_url` part: an object, or in some servers the address alone.
pub(super) fn image(mut fields: Fields<'_>) -> Result<Media> {
    let path = fields.path_of("image_url");
    let json = fields.take("image_url").ok_or_else(|| must_be(&path, "an object"))?;
    if json.starts_with('"') {
        let url = string_at(json, &path)?;
        return from_url(url, &path);
    }
    let mut image = Fields::parse(json, &path)?;
    let url_path = image.path_of("url");
    let media = from_url(image.required_string("url")?, &url_path)?;
    Ok(Media { detail: image.string("detail")?, ..media })
}

/// Reads an `input_audio` part.
pub(super) fn audio(mut fields: Fields<'_>) -> Result<Media> {
    let path = fields.path_of("input_audio");
    let mut audio = fields.object("input_audio")?.ok_or_else(|| must_be(&path, "an object"))?;
    let format = audio.required_string("format")?;
    let data = decode(&audio.required_string("data")?, &audio.path_of("data"))?;
    let mime_type = if format == "mp3" { "audio/mpeg".to_owned() } else { format!("audio/{format}") };
    Ok(Media { source: MediaSource::Data(data), mime_type, filename: None, detail: None })
}

/// Reads a `file` part; `None` when it holds neither data nor an id.
pub(super) fn file(mut fields: Fields<'_>) -> Result<Option<Media>> {
    let path = fields.path_of("file");
    let mut file = fields.object("file")?.ok_or_else(|| must_be(&path, "an object"))?;
    let filename = file.string("filename")?;
    let data_path = file.path_of("file_data");
    let media = match (file.string("file_data")?, file.string("file_id")?) {
        (Some(data), _) if data.starts_with("data:") || data.contains("://") => from_url(data, &data_path)?,
        (Some(data), _) => bare(MediaSource::Data(decode(&data, &data_path)?)),
        (None, Some(id)) => bare(MediaSource::FileId(id)),
        (None, None) => return Ok(None),
    };
    Ok(Some(Media { filename, ..media }))
}

/// A medium of which only its place is known.
pub(in crate::dialect) fn bare(source: MediaSource) -> Media {
    Media { source, mime_type: String::new(), filename: None, detail: None }
}

/// An address, or what a base64 `data:` URL holds.
pub(in crate::dialect) fn from_url(url: String, path: &str) -> Result<Media> {
    let inside = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let Some((mime_type, data)) = inside else { return Ok(bare(MediaSource::Url(url))) };
    let source = MediaSource::Data(decode(data, path)?);
    Ok(Media { mime_type: mime_type.to_owned(), ..bare(source) })
}

/// What base64 says.
pub(in crate::dialect) fn decode(data: &str, path: &str) -> Result<Bytes> {
    let data = BASE64.decode(data).map_err(|_| must_be(path, "valid base64"))?;
    Ok(Bytes::from(data))
}

/// A `data:` URL.
pub(in crate::dialect) fn data_url(mime_type: &str, data: &[u8]) -> String {
    format!("data:{mime_type};base64,{}", BASE64.encode(data))
}

/// Writes an `image_url` part; `None` when Chat cannot carry it.
pub(super) fn write_image(media: &Media) -> Option<ObjectWriter> {
    let url = match &media.source {
        MediaSource::Url(url) => url.clone(),
        MediaSource::Data(data) => data_url(&media.mime_type, data),
        MediaSource::FileId(_) => return None,
    };
    let mut image = ObjectWriter::new();
    image.string("url", &url);
    image.optional_string("detail", media.detail.as_deref());
    Some(part("image_url", image))
}

/// Writes an `input_audio` part; `None` when Chat cannot carry it.
pub(super) fn write_audio(media: &Media) -> Option<ObjectWriter> {
    let MediaSource::Data(data) = &media.source else { return None };
    let format = media.mime_type.strip_prefix("audio/")?;
    let mut audio = ObjectWriter::new();
    audio.string("data", &BASE64.encode(data));
    audio.string("format", if format == "mpeg" { "mp3" } else { format });
    Some(part("input_audio", audio))
}

/// Writes a `file` part.
pub(super) fn write_file(media: &Media) -> ObjectWriter {
    let mut file = ObjectWriter::new();
    file.optional_string("filename", media.filename.as_deref());
    match &media.source {
        MediaSource::Data(data) if media.mime_type.is_empty() => {
            file.string("file_data", &BASE64.encode(data));
        }
        MediaSource::Data(data) => file.string("file_data", &data_url(&media.mime_type, data)),
        MediaSource::FileId(id) => file.string("file_id", id),
        // A URL stands in `file_data` only at OpenRouter.
        MediaSource::Url(url) => file.string("file_data", url),
    }
    part("file", file)
}

fn part(kind: &str, inner: ObjectWriter) -> ObjectWriter {
    let mut part = ObjectWriter::new();
    part.string("type", kind);
    part.raw(kind, &inner.finish());
    part
}
