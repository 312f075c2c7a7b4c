//! Alerts by POST, for whoever listens.
//!
//! The body is one alert: `{"id","created_at","kind","subject","message"}`. An answer of 2xx takes it; all else, and silence for ten
//! seconds, is tried three more times. It goes through the same door as requests to providers, so the same addresses are closed to it.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{CONTENT_TYPE, USER_AGENT},
};
use orchestrator_base::live::Live;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::Alert;
use crate::provider::http::{Ask, Transport, USER_AGENT as OWN_NAME};

/// How long before each further try.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// How long one try may take.
const LONGEST: Duration = Duration::from_secs(10);
/// How long until the connection must stand.
const CONNECT: Duration = Duration::from_secs(3);

/// Where alerts are sent to.
pub struct Webhook {
    /// `None`: nowhere, at present.
    uri: Live<Option<Uri>>,
    way: Arc<dyn Transport>,
}

impl Webhook {
    /// `None`: that is no address.
    pub fn new(url: &str, way: Arc<dyn Transport>) -> Option<Self> {
        Some(Self::to(Some(url.parse().ok()?).into(), way))
    }

    /// To an address that may change, or be taken away.
    pub fn to(uri: Live<Option<Uri>>, way: Arc<dyn Transport>) -> Self {
        Self { uri, way }
    }

    /// Sends what comes, one after the other, until nobody sends any more. When told to stop, nothing is tried again.
    pub(super) async fn run(self, mut alerts: mpsc::Receiver<Alert>, stop: CancellationToken) {
        while let Some(alert) = alerts.recv().await {
            // One address for all tries.
            let uri = self.uri.load().as_ref().clone();
            if let Some(uri) = uri {
                self.send(&alert, &uri, &stop).await;
            }
        }
    }

    async fn send(&self, alert: &Alert, uri: &Uri, stop: &CancellationToken) {
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
            let why = match timeout(LONGEST, self.post(uri, body.clone())).await {
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

    async fn post(&self, uri: &Uri, body: Bytes) -> Result<u16, ()> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, OWN_NAME);
        let ask = Ask { method: Method::POST, uri: uri.clone(), headers, body, connect_timeout: CONNECT };
        // What it says beside its status is of no interest.
        self.way.send(ask).await.map(|answer| answer.status.as_u16()).map_err(|_| ())
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
}
