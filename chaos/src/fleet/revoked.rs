//! A key that is taken away at one core is refused at the other within a second.

use std::{net::SocketAddr, time::Duration};

use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    ask::Ask,
    cores::{Fleet, Key},
    scene::{Scene, shown},
    upstream::QUICK,
};
use crate::{AnyError, gateway};

const WITHIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// Plays the scene.
pub(crate) async fn play(fleet: &mut Fleet) -> Result<Scene, AnyError> {
    let mut scene = Scene::default();
    let team = fleet.team("revoked-team", json!({})).await?;
    let disabled = fleet.key("revoked-disabled", json!({})).await?;
    let deleted = fleet.key("revoked-deleted", json!({})).await?;
    let member = fleet.key("revoked-member", json!({"team": "revoked-team"})).await?;
    fleet.await_known().await?;
    let off = json!({"enabled": false});
    let changes = [
        ("disabled", &disabled, Method::PATCH, format!("/admin/keys/{}", disabled.id), Some(&off)),
        ("deleted", &deleted, Method::DELETE, format!("/admin/keys/{}", deleted.id), None),
        ("its team disabled", &member, Method::PATCH, format!("/admin/teams/{team}"), Some(&off)),
    ];
    for (number, (what, key, method, path, body)) in changes.into_iter().enumerate() {
        // Now at the one core, now at the other.
        let (here, there) = (&fleet.sides[number % 2], &fleet.sides[1 - number % 2]);
        for side in [here, there] {
            let before = asks(side.edge, key, number).await;
            scene.check(before.0 == 200, || format!("{what}: not admitted before: {}", before.1));
        }
        let (status, answer) = gateway::admin(here.edge, method, &path, body).await?;
        let begun = Instant::now();
        scene.check(status < 300, || format!("{what}: the change is refused: {status} {answer}"));
        let same = asks(here.edge, key, number).await;
        scene.check(same.0 == 401, || format!("{what}: the core that was told still admits: {}", same.1));
        let after = refused_after(there.edge, key, number, begun).await;
        scene.say(format!("a key, {what} at one core: refused at the other after {}", shown(after)));
        scene.check(after.is_some_and(|after| after < WITHIN), || {
            format!(
                "{what}: refused at the other core after {}, which must be less than {WITHIN:?}",
                shown(after)
            )
        });
    }
    Ok(scene)
}

async fn refused_after(edge: SocketAddr, key: &Key, number: usize, begun: Instant) -> Option<Duration> {
    while begun.elapsed() < PATIENCE {
        if asks(edge, key, number).await.0 == 401 {
            return Some(begun.elapsed());
        }
        sleep(LOOK).await;
    }
    None
}

async fn asks(edge: SocketAddr, key: &Key, number: usize) -> (u16, String) {
    let answer = Ask::new(format!("revoked-{number}"), key, QUICK).make(edge).await;
    (answer.status, answer.shown())
}
