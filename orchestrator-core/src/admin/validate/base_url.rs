//! Where a provider may be.

use std::net::IpAddr;

use orchestrator_base::config::ProviderRules;
use url::{Host, Url};

use super::refuse;
use crate::{
    catalog::Provider,
    error::Result,
    policy::address::{Reach, reach, reach_of_name},
    provider::{self, ProviderKind, preset::preset},
};

const PARAM: &str = "base_url";

/// The URL to keep: the kind's own when none is given, without a slash at the end.
///
/// Only what the name or address itself says is checked here; what a name resolves to is checked when it is asked.
pub(super) fn normalised(provider: &Provider, rules: &ProviderRules) -> Result<String> {
    let preset = provider.options.preset.as_deref().and_then(preset);
    let given = match preset {
        Some(preset) if provider.base_url.is_empty() => preset.base_url,
        _ => provider.base_url.as_str(),
    };
    match (provider::kind(&provider.kind).and_then(ProviderKind::default_base_url), given) {
        (Some(own), "") => return Ok(own.to_owned()),
        (Some(""), _) => return refuse(PARAM, "must be empty: this kind asks nobody"),
        (None, "") => return refuse(PARAM, "is required for this kind"),
        _ => {}
    }
    if given.len() > 2048 {
        return refuse(PARAM, "must be at most 2048 characters");
    }
    let Ok(url) = Url::parse(given) else { return refuse(PARAM, "is not a URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(PARAM, "must begin with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(PARAM, "must not contain a user or a password; secrets belong into a provider key");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse(PARAM, "must not contain a query or a fragment");
    }
    host(&url, rules)?;
    let url = url.as_str().trim_end_matches('/');
    // Its paths begin with the interface, which is often copied along.
    let url = if provider.kind == "azure_openai" {
        url.trim_end_matches("/v1").trim_end_matches("/openai")
    } else {
        url
    };
    Ok(url.to_owned())
}

fn host(url: &Url, rules: &ProviderRules) -> Result<()> {
    let reach = match url.host() {
        Some(Host::Domain(name)) => reach_of_name(name),
        Some(Host::Ipv4(address)) => reach(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => reach(IpAddr::V6(address)),
        None => return refuse(PARAM, "must name a host"),
    };
    match reach {
        Reach::Forbidden => {
            refuse(PARAM, "must not be a link-local or metadata address: those are never asked")
        }
        Reach::Private if rules.deny_private_networks => {
            refuse(PARAM, "must not be a private address: providers.deny_private_networks is set")
        }
        Reach::Public | Reach::Private => Ok(()),
    }
}
