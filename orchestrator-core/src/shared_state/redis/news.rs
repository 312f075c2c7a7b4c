//! News between cores, over one channel: they only make faster what each core finds out by itself.
//!
//! A message is JSON with a version. What does not fit into the queue, and what is said while Redis is away, is lost.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex, broadcast, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::Redis;

/// Said by this core to itself: it begins to listen, and may have missed something.
pub const MISSED: &str = "missed";

const CHANNEL: &str = "news";
const VERSION: u32 = 1;
/// How many may wait, to be told and to be heard.
const MOST: usize = 1024;
/// The longest message that is read.
const LONGEST: usize = 64 * 1024;
const AGAIN: Duration = Duration::from_millis(200);

/// What another core says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    v: u32,
    /// Which core.
    pub from: String,
    /// What it is about.
    pub kind: String,
    /// What is said.
    pub text: String,
}

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct News {
    core: Arc<str>,
    redis: Redis,
    out: mpsc::Sender<Told>,
    /// For the one that sends.
    waiting: Arc<Mutex<mpsc::Receiver<Told>>>,
    heard: broadcast::Sender<Told>,
}

impl News {
    /// `core`: a name that no other process has.
    pub fn new(redis: Redis, core: &str) -> Self {
        let (out, waiting) = mpsc::channel(MOST);
        let waiting = Arc::new(Mutex::new(waiting));
        Self { core: core.into(), redis, out, waiting, heard: broadcast::Sender::new(MOST) }
    }

    /// Tells the other cores.
    pub fn tell(&self, kind: &str, text: impl Into<String>) {
        let _ = self.out.try_send(self.told(kind, text.into()));
    }

    fn told(&self, kind: &str, text: String) -> Told {
        Told { v: VERSION, from: self.core.to_string(), kind: kind.to_owned(), text }
    }

    /// What other cores tell from now on.
    pub fn listen(&self) -> broadcast::Receiver<Told> {
        self.heard.subscribe()
    }

    /// Tells and hears until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let telling = async {
            let mut waiting = self.waiting.lock().await;
            while let Some(told) = waiting.recv().await {
                self.publish(&told).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = telling => {}
            () = self.hear() => {}
        }
    }

    async fn publish(&self, told: &Told) {
        let Ok(text) = serde_json::to_string(told) else { return };
        let channel = self.redis.channel(CHANNEL);
        let _ = self.redis.command::<()>(redis::cmd("PUBLISH").arg(channel).arg(text)).await;
    }

    async fn hear(&self) {
        loop {
            if let Ok(mut listener) = self.redis.listener().await
                && listener.subscribe(self.redis.channel(CHANNEL)).await.is_ok()
            {
                let mut changes = self.redis.changes();
                let mut messages = listener.on_message();
                let missed = Told { kind: MISSED.to_owned(), ..self.told("", String::new()) };
                let _ = self.heard.send(missed);
                loop {
                    // A connection that hangs is left when Redis is known to be away.
                    let message = tokio::select! {
                        message = messages.next() => message,
                        _ = changes.changed() => None,
                    };
                    let Some(message) = message else { break };
                    self.pass_on(message.get_payload_bytes());
                }
            }
            sleep(AGAIN).await;
        }
    }

    fn pass_on(&self, bytes: &[u8]) {
        if bytes.len() > LONGEST {
            return;
        }
        let Ok(told) = serde_json::from_slice::<Told>(bytes) else { return };
        if told.v == VERSION && *told.from != *self.core {
            let _ = self.heard.send(told);
        }
    }
}
