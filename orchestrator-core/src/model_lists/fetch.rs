//! One request for one provider's list.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, USER_AGENT},
};
use tokio::time::timeout;

use super::{parse, watch::Ticket};
use crate::{
    catalog::{
        listed::ModelList,
        route::{Target, TargetKey},
    },
    provider::{
        self,
        http::{Ask, HttpClient, Transport},
    },
};

/// How long a provider may take for its list, all in all.
const TOTAL: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_BYTES: usize = 4 << 20;

/// A list that was not given.
#[derive(Debug)]
pub(crate) struct ListFailure {
    /// The provider's HTTP status; 0: there was no answer, or none that is a list.
    pub(crate) status: u16,
    /// For the log: names neither address nor secret.
    pub(crate) reason: String,
}

impl<T: Into<String>> From<T> for ListFailure {
    fn from(reason: T) -> Self {
        Self { status: 0, reason: reason.into() }
    }
}

/// Asks for the list. The failure is a reason for the log: it names neither address nor secret.
pub(super) async fn fetch(http: Arc<HttpClient>, ticket: Ticket) -> (Ticket, Result<ModelList, String>) {
    let answer = match timeout(TOTAL, Box::pin(list(&*http, &ticket.target, ticket.key()))).await {
        Ok(answer) => answer.map_err(|failure| failure.reason),
        Err(_) => Err(format!("it took longer than {TOTAL:?}")),
    };
    (ticket, answer)
}

/// Asks a provider for its list with one of its keys, for as long as it takes.
pub(crate) async fn list(
    http: &dyn Transport,
    target: &Target,
    key: Option<&TargetKey>,
) -> Result<ModelList, ListFailure> {
    let kind = provider::kind(&target.kind).ok_or("this build does not know its kind")?;
    let path = kind.models_path().ok_or("its kind has no list")?;
    let uri = format!("{}{path}", target.base_url).parse().map_err(|_| "its base URL is not a URL")?;
    let mut headers = HeaderMap::with_capacity(3 + target.headers.len());
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, provider::http::USER_AGENT);
    for (name, value) in &*target.headers {
        headers.insert(name.clone(), value.clone());
    }
    let secret = key.map(|key| &key.secret);
    let body = Bytes::new();
    kind.authorize(&mut headers, &body, secret).await.map_err(|error| error.message)?;
    let ask = Ask { method: Method::GET, uri, headers, body, connect_timeout: target.timeouts.connect };
    let mut answer = http.send(ask).await.map_err(|failure| failure.to_string())?;
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        return Err(ListFailure { status, reason: format!("it answered {status}") });
    }
    let body = answer.body.collect(MAX_BYTES).await.map_err(|failure| failure.to_string())?;
    Ok(parse::parse(&body)?)
}
