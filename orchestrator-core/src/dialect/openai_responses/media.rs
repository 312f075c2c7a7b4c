//! Pictures and documents: their parts in Responses.

use base64::Engine as _;

use crate::{
    chat::{Media, MediaSource},
    dialect::{
        json::{Fields, ObjectWriter},
        openai_chat::media::{BASE64, bare, data_url, decode, from_url},
    },
    error::Result,
};

/// Reads an `input_image` part; `None` when it holds neither an address nor an id.
pub(super) fn image(mut fields: Fields<'_>) -> Result<Option<Media>> {
    let detail = fields.string("detail")?;
    let path = fields.path_of("image_url");
    let media = match (fields.string("image_url")?, fields.string("file_id")?) {
        (Some(url), _) => from_url(url, &path)?,
        (None, Some(id)) => bare(MediaSource::FileId(id)),
        (None, None) => return Ok(None),
    };
    Ok(Some(Media { detail, ..media }))
}

/// Reads an `input_file` part; `None` when it holds neither data, an address nor an id.
pub(super) fn file(mut fields: Fields<'_>) -> Result<Option<Media>> {
    let filename = fields.string("filename")?;
    let path = fields.path_of("file_data");
    let media = if let Some(data) = fields.string("file_data")? {
        if data.starts_with("data:") {
            from_url(data, &path)?
        } else {
            bare(MediaSource::Data(decode(&data, &path)?))
        }
    } else if let Some(url) = fields.string("file_url")? {
        bare(MediaSource::Url(url))
    } else if let Some(id) = fields.string("file_id")? {
        bare(MediaSource::FileId(id))
    } else {
        return Ok(None);
    };
    Ok(Some(Media { filename, ..media }))
}

/// Writes an `input_image` part.
pub(super) fn write_image(media: &Media) -> String {
    let mut out = ObjectWriter::new();
    out.string("type", "input_image");
    match &media.source {
        MediaSource::Url(url) => out.string("image_url", url),
        MediaSource::Data(data) => out.string("image_url", &data_url(&media.mime_type, data)),
        MediaSource::FileId(id) => out.string("file_id", id),
    }
    out.optional_string("detail", media.detail.as_deref());
    out.finish()
}

/// Writes an `input_file` part. Data needs a name there.
pub(super) fn write_file(media: &Media) -> String {
    let mut out = ObjectWriter::new();
    out.string("type", "input_file");
    match &media.source {
        MediaSource::Url(url) => out.string("file_url", url),
        MediaSource::Data(data) => {
            out.string("filename", media.filename.as_deref().unwrap_or("file"));
            let bare = media.mime_type.is_empty();
            let text = if bare { BASE64.encode(data) } else { data_url(&media.mime_type, data) };
            out.string("file_data", &text);
        }
        MediaSource::FileId(id) => out.string("file_id", id),
    }
    if !matches!(media.source, MediaSource::Data(_)) {
        out.optional_string("filename", media.filename.as_deref());
    }
    out.finish()
}
