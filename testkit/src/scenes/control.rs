//! What the scenes' provider tells those who drive a gateway before it. See [`super::play`].

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{PROVIDER_KEY, Scene};
use crate::provider::{Answer, Endpoint, Provider, Script, Seen};

/// The name under which no scene may stand.
pub(super) const NAME: &str = "control";

/// What a path of it tells whoever asks.
type Tell = fn(&Cast, &Seen) -> Value;

pub(super) fn open(provider: &Provider, scenes: Vec<Scene>) {
    let control = provider.named(NAME);
    let cast: Arc<Cast> = Arc::new(Cast {
        root: provider.named(""),
        scenes: scenes.into_iter().map(|scene| (provider.named(&scene.name), scene)).collect(),
    });
    let ways: [(&str, Tell); 3] =
        [("scenes", Cast::scenes), ("seen", Cast::seen), ("complaints", Cast::complaints)];
    for (path, tell) in ways {
        let cast = Arc::clone(&cast);
        control.route(path, Script::choose(move |_, seen| Answer::json(200, &tell(&cast, seen))));
    }
}

struct Cast {
    root: Endpoint,
    scenes: Vec<(Endpoint, Scene)>,
}

impl Cast {
    fn scenes(&self, _: &Seen) -> Value {
        let shown = self.scenes.iter().map(|(endpoint, scene)| {
            json!({
                "name": scene.name,
                "base_url": scene.base_url(endpoint),
                "path": scene.path(),
                "key": PROVIDER_KEY,
                "key_header": scene.operation.key_header(),
                "upstream_model": scene.upstream_model,
                "provider": scene.provider,
            })
        });
        shown.collect()
    }

    fn seen(&self, asked: &Seen) -> Value {
        let wanted = asked.query.strip_prefix("request_id=");
        let mut shown = Vec::new();
        for (endpoint, scene) in &self.scenes {
            for seen in endpoint.seen() {
                if wanted.is_none() || wanted == seen.header("x-request-id") {
                    shown.push(show(&scene.name, &seen));
                }
            }
        }
        shown.into()
    }

    fn complaints(&self, _: &Seen) -> Value {
        let mut all: Vec<String> = Vec::new();
        for (endpoint, scene) in &self.scenes {
            all.extend(endpoint.complaints().iter().map(|complaint| format!("{}: {complaint}", scene.name)));
        }
        all.extend(self.root.complaints());
        all.into()
    }
}

fn show(scene: &str, seen: &Seen) -> Value {
    let headers: Map<String, Value> =
        seen.headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_str().into())).collect();
    json!({
        "scene": scene,
        "method": seen.method,
        "path": seen.path,
        "headers": headers,
        "body": serde_json::from_slice::<Value>(&seen.body).unwrap_or(Value::Null),
        "closed": seen.peer_closed(),
    })
}
