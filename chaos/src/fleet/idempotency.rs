//! One idempotency key, sent many times at once to both cores, is one request: one call of the provider, and the same bytes for everybody.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    ask::{Answered, Ask, at_once},
    cores::{Fleet, Key},
    money::{self, Account},
    scene::Scene,
    upstream::SLOW,
};
use crate::{AnyError, caller::Dialect};

const TWINS: usize = 50;
/// The answer's word for how it came about.
const MARK: &str = "x-orchestrator-idempotency";

/// Plays the scene: in all dialects, or in one.
pub(crate) async fn play(fleet: &mut Fleet, quick: bool) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let key = fleet.key("idempotency", json!({})).await?;
    fleet.await_known().await?;
    let dialects = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini];
    let dialects = if quick { &dialects[..1] } else { &dialects };
    let mut ids = Vec::new();
    for dialect in dialects {
        for stream in [false, true] {
            ids.extend(round(fleet, &key, *dialect, stream, &mut scene).await);
        }
    }
    let answered: Vec<_> = ids.iter().map(|id| (&key, id.as_str())).collect();
    let account = Account::with(&fleet.database, &answered).await?;
    let charged = (account.charged(&key.id), account.charged_for_cut(&key.id));
    let spent = account.spent(&format!("key:{}", key.id));
    let cost = money::cost(&fleet.upstream.asked("idempotency-"));
    money::compare("all of it", charged, spent, cost, &mut scene);
    Ok(scene)
}

/// Gives the ids of the twins.
async fn round(fleet: &Fleet, key: &Key, dialect: Dialect, stream: bool, scene: &mut Scene) -> Vec<String> {
    let what = format!("{dialect:?}, {}", if stream { "a stream" } else { "whole" });
    let prefix = format!("idempotency-{dialect:?}-{stream}-");
    let twin = |name: &str| {
        let mut ask = Ask::new(format!("{prefix}{name}"), key, SLOW).stream(stream);
        ask.wish.dialect = dialect;
        ask.idempotency = Some(format!("twins-{dialect:?}-{stream}"));
        ask
    };
    let twins = (0..TWINS).map(|number| (fleet.edge, twin(&number.to_string())));
    let answers = at_once(twins).await;
    let asked = fleet.upstream.asked(&prefix).len();
    let mut marks: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in &answers {
        *marks.entry(answer.header(MARK).unwrap_or("first")).or_default() += 1;
        scene.check(answer.is_complete(), || format!("{what}: not answered: {}", answer.shown()));
        scene.check(answer.body == answers[0].body, || format!("{what}: other bytes: {}", answer.shown()));
    }
    scene.say(format!("{what}: {TWINS} twins at once: {asked} asked of the provider, answered as {marks:?}"));
    scene.check(asked == 1, || format!("{what}: the provider was asked {asked} times"));
    scene.check(marks.get("first") == Some(&1), || format!("{what}: {marks:?}, and one must be the first"));

    for (name, side) in ["a", "b"].iter().zip(&fleet.sides) {
        let later = twin(&format!("later-{name}")).make(side.edge).await;
        scene.check(is_replay(&later, &answers), || {
            format!("{what}: a twin that comes later to core {name} does not get the same: {}", later.shown())
        });
        let mut other = twin(&format!("other-{name}"));
        other.wish.words.push_str(" And of the other three.");
        let other = other.make(side.edge).await;
        scene.check(other.status == 409, || {
            format!(
                "{what}: another request with the same key is not refused at core {name}: {}",
                other.shown()
            )
        });
    }
    let asked = fleet.upstream.asked(&prefix).len();
    scene.check(asked == 1, || format!("{what}: later twins were asked of the provider: {asked} in all"));
    answers.into_iter().map(|answer| answer.id).collect()
}

fn is_replay(later: &Answered, answers: &[Answered]) -> bool {
    let original = later.header("x-orchestrator-original-request-id").unwrap_or_default();
    later.is_complete()
        && later.header(MARK) == Some("replayed")
        && later.body == answers[0].body
        && answers.iter().any(|answer| answer.id == original)
}
