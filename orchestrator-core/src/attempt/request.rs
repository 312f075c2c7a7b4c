//! What a provider is sent: the caller's own bytes with a few fields rewritten, or the hub's words encoded in its dialect.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{ACCEPT, CONTENT_TYPE, USER_AGENT},
};

use super::Job;
use crate::{
    call::Input,
    catalog::route::Target,
    dialect::{Dialect, Edits, EncodeTarget},
    error::{Error, ErrorKind, Result},
    provider::{self, Asked, ProviderKind, preset::preset},
    routing,
};

/// A request for one provider, without its credential.
#[derive(Debug)]
pub struct Prepared {
    /// The dialect that the provider is asked in.
    pub dialect: Dialect,
    /// The caller speaks it too: its answer's bytes travel as they are.
    pub same: bool,
    /// Usage was asked for on our own account: the event that this adds is ours to take out again.
    pub injected_usage: bool,
    /// Where.
    pub uri: Uri,
    /// With what.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What the provider's dialect cannot carry.
    pub dropped: Vec<String>,
}

/// Writes the request for one target.
///
/// Errors: the request cannot be translated, or would lose something that the caller insists on (400).
pub fn prepare(job: &Job, target: &Target, kind: &dyn ProviderKind) -> Result<Prepared> {
    let own = job.dialect();
    let dialect = routing::dialect_for(target, job.operation, own)
        .ok_or_else(|| Error::internal("the plan holds a provider that cannot do this"))?;
    // Another vendor's sealed reasoning has to come out first, and only the hub's words can say where it stands.
    let same = own == Some(dialect) && !job.facts.sealed;
    let preset = target.preset.as_deref().and_then(preset);
    let takes_usage = || preset.map_or_else(|| kind.takes_include_usage(), |preset| preset.include_usage);
    let wants_usage = job.facts.stream && target.include_usage.unwrap_or_else(takes_usage);
    let (body, dropped) = match &job.input {
        Input::Native { body, .. } if same => {
            let edits = Edits {
                model: &target.upstream_model,
                include_usage: wants_usage && !job.facts.include_usage,
                overrides: &target.overrides,
                outline: job.facts.outline.as_ref(),
            };
            (dialect.wire().splice(body, &edits)?, Vec::new())
        }
        _ => {
            let encode = EncodeTarget {
                model: &target.upstream_model,
                include_usage: wants_usage,
                overrides: &target.overrides,
                legacy_names: kind.legacy_names(),
                quirks: preset.map_or_else(|| kind.quirks(), |preset| preset.quirks),
            };
            let encoded = dialect.wire().encode_request(job.hub()?, &encode)?;
            (encoded.body, encoded.dropped)
        }
    };
    if job.strict && !dropped.is_empty() {
        return Err(lossy(&target.provider_name, &dropped));
    }
    let asked = Asked {
        dialect,
        model: &target.upstream_model,
        stream: job.facts.stream,
        api_version: target.api_version.as_deref(),
    };
    Ok(Prepared {
        dialect,
        same,
        injected_usage: same && wants_usage && !job.facts.include_usage,
        uri: uri(&target.base_url, &kind.path(&asked))?,
        headers: headers(job, target, same, kind.headers(dialect)),
        body,
        dropped,
    })
}

fn lossy(provider: &str, dropped: &[String]) -> Error {
    let message = format!("the provider `{provider}` cannot be told: {}", dropped.join(", "));
    Error { param: dropped.first().cloned(), ..Error::new(ErrorKind::InvalidRequest, message) }
}

fn uri(base_url: &str, path: &str) -> Result<Uri> {
    // The URL stays out of the message: it may hold more than the caller should know.
    format!("{base_url}{path}")
        .parse()
        .map_err(|_| Error::new(ErrorKind::ProviderFailed, "the provider's base URL is not a URL"))
}

/// Ours, then what the kind needs, then the caller's where it speaks the same dialect, then the provider's own, which win.
fn headers(job: &Job, target: &Target, same: bool, needed: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6 + target.headers.len());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if job.facts.stream { "text/event-stream" } else { "application/json" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(USER_AGENT, provider::http::USER_AGENT);
    if let Ok(id) = HeaderValue::from_str(&job.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    for &(name, value) in needed {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if same {
        // Not `extend`, which would put the caller's `anthropic-version` beside ours.
        for (name, value) in &job.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in &*target.headers {
        headers.insert(name.clone(), value.clone());
    }
    headers
}
