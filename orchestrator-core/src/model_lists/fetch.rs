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
    catalog::listed::ModelList,
    provider::{
        self,
        http::{Ask, HttpClient, Transport as _},
    },
};

/// How long a provider may take for its list, all in all.
const TOTAL: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_BYTES: usize = 4 << 20;

/// Asks for the list. The failure is a reason for the log: it names neither address nor secret.
pub(super) async fn fetch(http: Arc<HttpClient>, ticket: Ticket) -> (Ticket, Result<ModelList, String>) {
    let answer = match timeout(TOTAL, Box::pin(ask(&http, &ticket))).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("it took longer than {TOTAL:?}")),
    };
    (ticket, answer)
}

async fn ask(http: &HttpClient, ticket: &Ticket) -> Result<ModelList, String> {
    let target = &ticket.target;
    let kind = provider::kind(&target.kind).ok_or("this build does not know its kind")?;
    let path = kind.models_path().ok_or("its kind has no list")?;
    let uri = format!("{}{path}", target.base_url).parse().map_err(|_| "its base URL is not a URL")?;
    let mut headers = HeaderMap::with_capacity(3 + target.headers.len());
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, provider::http::USER_AGENT);
    for (name, value) in &*target.headers {
        headers.insert(name.clone(), value.clone());
    }
    let secret = ticket.key().map(|key| &key.secret);
    let body = Bytes::new();
    kind.authorize(&mut headers, &body, secret).await.map_err(|error| error.message)?;
    let ask = Ask { method: Method::GET, uri, headers, body, connect_timeout: target.timeouts.connect };
    let mut answer = http.send(ask).await.map_err(|failure| failure.to_string())?;
    if !answer.status.is_success() {
        return Err(format!("it answered {}", answer.status.as_u16()));
    }
    let body = answer.body.collect(MAX_BYTES).await.map_err(|failure| failure.to_string())?;
    parse::parse(&body).map_err(str::to_owned)
}
