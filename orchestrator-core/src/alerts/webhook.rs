//! Alerts by POST, for whoever listens.
//!
//! The body is one alert: `{"id","created_at","kind","subject","message"}`. An answer of 2xx takes it; all else, and silence for ten
//! seconds, is tried three more times. It goes through the same door as requests to providers, so the same addresses are closed to it.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use orchestrator_base::live::Live;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use url::{Url, form_urlencoded};

use super::Alert;
use crate::provider::http::{Ask, Transport, USER_AGENT as OWN_NAME};

/// How long before each further try.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// How long one try may take.
const LONGEST: Duration = Duration::from_secs(10);
/// How long until the connection must stand.
const CONNECT: Duration = Duration::from_secs(3);

/// Where alerts are sent to. A user and a password in its URL become a header: an HTTP client tells its log whom it connects to.
#[derive(Clone)]
pub struct Address {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl Address {
    /// `None`: that is no address.
    pub fn parse(url: &str) -> Option<Self> {
        let mut url = Url::parse(url).ok()?;
        let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
        let authorization = if user.is_empty() && password.is_empty() {
            None
        } else {
            let pair = STANDARD.encode(format!("{user}:{password}"));
            let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        url.set_fragment(None);
        Some(Self { uri: url.as_str().parse().ok()?, authorization })
    }
}

/// A part of a URL without percent signs.
fn decoded(part: &str) -> String {
    // A form has two more signs, which are plain here.
    let form = format!("part={}", part.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).next().map(|(_, part)| part.into_owned()).unwrap_or_default()
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

/// Sends alerts.
pub struct Webhook {
    /// `None`: nowhere, at present.
    address: Live<Option<Address>>,
    way: Arc<dyn Transport>,
}

impl Webhook {
    /// `None`: that is no address.
    pub fn new(url: &str, way: Arc<dyn Transport>) -> Option<Self> {
        Some(Self::to(Some(Address::parse(url)?).into(), way))
    }

    /// To an address that may change, or be taken away.
    pub fn to(address: Live<Option<Address>>, way: Arc<dyn Transport>) -> Self {
        Self { address, way }
    }

    /// Sends what comes, one after the other, until nobody sends any more. When told to stop, nothing is tried again.
    pub(super) async fn run(self, mut alerts: mpsc::Receiver<Alert>, stop: CancellationToken) {
        while let Some(alert) = alerts.recv().await {
            // One address for all tries.
            let address = self.address.load().as_ref().clone();
            if let Some(address) = address {
                self.send(&alert, &address, &stop).await;
            }
        }
    }

    async fn send(&self, alert: &Alert, address: &Address, stop: &CancellationToken) {
        let body = json!({
            "id": alert.id,
            "created_at": alert.created_at.to_string(),
            "kind": alert.kind,
            "subject": alert.subject,
            "message": alert.message,
        });
        let body = Bytes::from(body.to_string());
        let mut pauses = PAUSES.iter();
        loop {
            // The address may hold a token: it is not told.
            let why = match timeout(LONGEST, self.post(address, body.clone())).await {
                Ok(Ok(status)) if (200..300).contains(&status) => return,
                Ok(Ok(status)) => format!("it answered {status}"),
                Ok(Err(())) => "it cannot be reached".to_owned(),
                Err(_) => "it is silent".to_owned(),
            };
            let pause = pauses.next().filter(|_| !stop.is_cancelled());
            let Some(pause) = pause else {
                tracing::error!(alert.id = alert.id, why, "an alert could not be sent to the webhook");
                return;
            };
            if stop.run_until_cancelled(tokio::time::sleep(*pause)).await.is_none() {
                tracing::warn!(alert.id = alert.id, why, "an alert was not sent to the webhook");
                return;
            }
        }
    }

    async fn post(&self, address: &Address, body: Bytes) -> Result<u16, ()> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, OWN_NAME);
        if let Some(authorization) = &address.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let ask =
            Ask { method: Method::POST, uri: address.uri.clone(), headers, body, connect_timeout: CONNECT };
        // What it says beside its status is of no interest.
        self.way.send(ask).await.map(|answer| answer.status.as_u16()).map_err(|_| ())
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_in_the_url_becomes_a_header() {
        let address = Address::parse("https://ann:p%40s+s&w@listener.test/hook?token=t").unwrap();
        assert_eq!(address.uri, "https://listener.test/hook?token=t");
        let authorization = address.authorization.unwrap();
        assert!(authorization.is_sensitive());
        let pair = STANDARD.decode(authorization.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(pair, b"ann:p@s+s&w");
        assert!(Address::parse("https://listener.test/").unwrap().authorization.is_none());
        assert!(Address::parse("no address").is_none());
    }
}
