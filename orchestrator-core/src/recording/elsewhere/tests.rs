//! Two cores with one real Redis between them: who makes an answer, who reads it, and what happens when a core or Redis is lost.

use bytes::Bytes;
use orchestrator_base::config::{self, Idempotency};
use orchestrator_testkit::databases::redis::RedisServer;

use super::*;
use crate::{
    error::{Error, ErrorKind},
    recording::{
        Opening,
        claims::{Again, Claim, Claims, Name, Wish, fingerprint},
    },
    shared_state::redis::Redis,
};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

struct Core {
    claims: Arc<Claims>,
    redis: Redis,
}

/// A core of that name, which believes others for so long.
async fn core(server: &RedisServer, name: &str, lease: Duration) -> Core {
    with(server, name, lease, &Idempotency::default()).await
}

async fn with(server: &RedisServer, name: &str, lease: Duration, idempotency: &Idempotency) -> Core {
    let settings = config::Redis {
        url: server.url().into(),
        prefix: "t:".into(),
        // Machines that test are busy: the time-outs of earnest would be met by accident.
        checkout_ms: 250,
        command_ms: 250,
        ..config::Redis::default()
    };
    let redis = Redis::new(&settings).unwrap();
    assert!(redis.try_now().await);
    let retention = Duration::from_secs(idempotency.retention_seconds);
    let answers = Answers::new(redis.clone(), name.to_owned(), retention).leasing(lease);
    Core { claims: Claims::new(idempotency, Some(answers)), redis }
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(400);

fn wish(asked: &str) -> Wish {
    let name = Name { api_key_id: "caller".into(), key: "k".into() };
    Wish { name, fingerprint: fingerprint(&[asked.as_bytes()]) }
}

impl Core {
    async fn first(&self) -> (Recorder, Follow) {
        match self.claims.claim(&wish("hi")).await {
            Claim::First(recorder, follow) => (recorder, follow),
            other => panic!("{other:?}"),
        }
    }

    async fn again(&self) -> (Again, Follow) {
        match self.claims.claim(&wish("hi")).await {
            Claim::Again(again, follow) => (again, follow),
            other => panic!("{other:?}"),
        }
    }
}

fn opening() -> Opening {
    Opening { request_id: "r1".into(), status: 200, ..Opening::default() }
}

fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Reads frames until that many bytes are there, or the answer has ended.
async fn read_up_to(follow: &mut Follow, bytes: usize) -> (Vec<u8>, Option<Arc<Ending>>) {
    let mut read = Vec::new();
    while read.len() < bytes {
        match tokio::time::timeout(PATIENCE, follow.next()).await.expect("more of the answer in time") {
            Part::Frame(frame) => read.extend_from_slice(&frame),
            Part::Last(frame, ending) => {
                read.extend_from_slice(&frame);
                return (read, Some(ending));
            }
        }
    }
    (read, None)
}

async fn read_all(follow: &mut Follow) -> (Vec<u8>, Arc<Ending>) {
    let (read, ending) = read_up_to(follow, usize::MAX).await;
    (read, ending.unwrap())
}

fn failure() -> Error {
    Error::new(ErrorKind::ProviderFailed, "overloaded").with_code("x")
}

#[tokio::test]
async fn what_one_core_makes_the_other_joins_and_tells_again() {
    let server = RedisServer::start();
    let (a, b) = (core(&server, "a", LONG).await, core(&server, "b", LONG).await);
    let (recorder, mut caller) = a.first().await;
    let (how, mut joined) = b.again().await;
    assert_eq!(how, Again::Joined);
    assert!(matches!(b.claims.claim(&wish("something else")).await, Claim::Reused));
    recorder.open(opening());
    recorder.append(frame("one"));
    assert_eq!(&*joined.opening().await.unwrap().request_id, "r1");
    assert_eq!(read_up_to(&mut joined, 3).await.0, b"one", "while it is made");
    // Much at once, and a frame that is larger than a chunk.
    let large = "x".repeat(100_000);
    for _ in 0..20 {
        recorder.append(frame(&large));
    }
    let (how, mut late) = b.again().await;
    assert_eq!(how, Again::Joined);
    recorder.complete(frame("end")).await;
    let (all, ending) = read_all(&mut caller).await;
    assert!(all.len() == 2_000_006 && matches!(*ending, Ending::Complete));
    assert_eq!(read_all(&mut joined).await.0, all[3..]);
    let (told, ending) = read_all(&mut late).await;
    assert!(told == all && matches!(*ending, Ending::Complete));

    // A core that begins later, too; and it says that the key stands for something.
    let c = core(&server, "c", LONG).await;
    let (how, mut later) = c.again().await;
    assert_eq!((how, read_all(&mut later).await.0), (Again::Replayed, all));
    assert!(matches!(c.claims.claim(&wish("something else")).await, Claim::Reused));
    assert_eq!(server.command(&["EXISTS", "t:{caller}:idempotency:k"]), "1");
    for key in ["t:{caller}:idempotency:k", "t:{caller}:idempotency-chunks:k"] {
        let left: u64 = server.command(&["TTL", key]).parse().unwrap();
        assert!((86_000..=86_400).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn fifty_in_two_cores_have_one_first_among_them() {
    let server = RedisServer::start();
    let cores = [core(&server, "a", LONG).await, core(&server, "b", LONG).await];
    let claiming = (0..50).map(|number| {
        let claims = Arc::clone(&cores[number % 2].claims);
        async move { claims.claim(&wish("hi")).await }
    });
    let claimed = futures_util::future::join_all(claiming).await;
    let (mut recorders, mut follows) = (Vec::new(), Vec::new());
    for claim in claimed {
        match claim {
            Claim::First(recorder, follow) => {
                recorders.push(recorder);
                follows.push(follow);
            }
            Claim::Again(_, follow) => follows.push(follow),
            Claim::Reused => panic!("it is one request"),
        }
    }
    assert_eq!((recorders.len(), follows.len()), (1, 50));
    let recorder = recorders.remove(0);
    recorder.open(opening());
    recorder.append(frame("some, "));
    recorder.complete(frame("all")).await;
    for follow in &mut follows {
        let (told, ending) = read_all(follow).await;
        assert!(told == b"some, all" && matches!(*ending, Ending::Complete));
    }
}

#[tokio::test]
async fn a_failure_is_told_in_the_other_core_and_frees_the_key_before_anybody_hears_of_it() {
    let server = RedisServer::start();
    let (a, b) = (core(&server, "a", LONG).await, core(&server, "b", LONG).await);
    let (recorder, mut caller) = a.first().await;
    let (_, mut joined) = b.again().await;
    recorder.fail(failure(), None).await;
    for follow in [&mut caller, &mut joined] {
        let ending = follow.opening().await.unwrap_err();
        let Ending::Failed { error, .. } = &*ending else { panic!("{ending:?}") };
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::ProviderFailed, Some("x")));
    }
    let (recorder, mut caller) = b.first().await;
    let (_, mut joined) = a.again().await;
    recorder.open(opening());
    recorder.append(frame("begun"));
    assert_eq!(read_up_to(&mut joined, 5).await.0, b"begun");
    recorder.cut(frame("broken"), failure()).await;
    assert_eq!(read_all(&mut caller).await.0, b"begunbroken");
    let (_, ending) = read_all(&mut joined).await;
    assert!(matches!(&*ending, Ending::Cut { told: false, .. }), "{ending:?}");
    drop(a.first().await);
}

#[tokio::test]
async fn what_is_given_up_is_taken_over() {
    let server = RedisServer::start();
    let (a, b) = (core(&server, "a", LONG).await, core(&server, "b", LONG).await);
    let (recorder, _caller) = a.first().await;
    let (_, mut joined) = b.again().await;
    drop(recorder);
    let ending = tokio::time::timeout(PATIENCE, joined.opening()).await.unwrap().unwrap_err();
    assert!(matches!(*ending, Ending::Vacated), "{ending:?}");
    drop(b.first().await);
    // A caller that leaves while it claims leaves nothing held.
    let wish = wish("hi");
    drop(a.claims.claim(&wish).now_or_never());
    freed(&b).await;
}

/// Waits until the key can be claimed.
async fn freed(core: &Core) {
    let until = Instant::now() + PATIENCE;
    while !matches!(core.claims.claim(&wish("hi")).await, Claim::First(..)) {
        assert!(Instant::now() < until, "the key is not freed");
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn when_a_core_dies_its_twins_elsewhere_go_on_after_its_lease() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let here = runtime();
    for begun in [false, true] {
        let dying = runtime();
        let recorder = dying.block_on(async {
            let a = core(&server, "a", SHORT).await;
            let (recorder, caller) = a.first().await;
            if begun {
                recorder.open(opening());
                recorder.append(frame("begun"));
            }
            sleep(2 * SHORT).await;
            // It is renewed as long as the core lives.
            (recorder, caller)
        });
        let (b, mut joined) = here.block_on(async {
            let b = core(&server, "b", SHORT).await;
            let (how, joined) = b.again().await;
            assert_eq!(how, Again::Joined);
            (b, joined)
        });
        // Nothing of it runs any more, and nothing can be said.
        drop(dying);
        here.block_on(async {
            if begun {
                let (read, ending) = read_all(&mut joined).await;
                assert!(read == b"begun" && matches!(*ending, Ending::Cut { told: false, .. }), "{ending:?}");
            } else {
                let ending = tokio::time::timeout(PATIENCE, joined.opening()).await.unwrap().unwrap_err();
                assert!(matches!(*ending, Ending::Vacated), "{ending:?}");
            }
            drop(b.first().await);
            sleep(Duration::from_millis(50)).await;
        });
        drop(recorder);
    }
}

#[tokio::test]
async fn an_answer_that_only_another_core_reads_is_not_deserted() {
    let server = RedisServer::start();
    let (a, b) = (core(&server, "a", SHORT).await, core(&server, "b", SHORT).await);
    let (recorder, caller) = a.first().await;
    let mut deserted = Box::pin(recorder.deserted(4 * SHORT));
    let (_, joined) = b.again().await;
    drop(caller);
    let read_on = tokio::time::timeout(8 * SHORT, &mut deserted).await;
    assert!(read_on.is_err(), "somebody reads it elsewhere");
    drop(joined);
    tokio::time::timeout(PATIENCE, deserted).await.expect("nobody reads it any more");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_its_first_callers_alone_in_all_cores() {
    let server = RedisServer::start();
    let settings = Idempotency { max_bytes: 10, ..Idempotency::default() };
    let a = with(&server, "a", LONG, &settings).await;
    let b = with(&server, "b", LONG, &settings).await;
    let (recorder, mut caller) = a.first().await;
    recorder.open(opening());
    recorder.append(frame("too large to be kept"));
    let (_, mut joined) = b.again().await;
    let ending = tokio::time::timeout(PATIENCE, async {
        match joined.opening().await {
            Err(ending) => ending,
            Ok(_) => read_all(&mut joined).await.1,
        }
    });
    assert!(matches!(*ending.await.unwrap(), Ending::TooLarge));
    recorder.complete(frame(", and over")).await;
    assert_eq!(read_all(&mut caller).await.0, b"too large to be kept, and over");
    drop(b.first().await);
}

#[tokio::test]
async fn without_retention_nothing_is_kept_and_joining_goes_on() {
    let server = RedisServer::start();
    let settings = Idempotency { retention_seconds: 0, ..Idempotency::default() };
    let a = with(&server, "a", LONG, &settings).await;
    let b = with(&server, "b", LONG, &settings).await;
    let (recorder, caller) = a.first().await;
    let (_, mut joined) = b.again().await;
    recorder.open(opening());
    recorder.complete(frame("all")).await;
    drop(caller);
    assert_eq!(read_all(&mut joined).await.0, b"all");
    drop(b.first().await);
}

#[tokio::test]
async fn while_redis_is_away_each_core_is_alone_and_what_it_forgot_is_made_anew() {
    let server = RedisServer::start();
    let (a, b) = (core(&server, "a", LONG).await, core(&server, "b", LONG).await);
    let (recorder, _caller) = a.first().await;
    let (_, mut joined) = b.again().await;
    let (begun, _reader) = {
        recorder.open(opening());
        recorder.append(frame("begun"));
        (read_up_to(&mut joined, 5).await.0, ())
    };
    assert_eq!(begun, b"begun");
    server.command(&["FLUSHALL"]);
    let (_, ending) = read_all(&mut joined).await;
    assert!(matches!(*ending, Ending::Cut { told: false, .. }), "{ending:?}");
    let (anew, _other) = b.first().await;
    anew.open(opening());
    anew.complete(frame("anew")).await;
    let (how, mut twin) = a.again().await;
    recorder.complete(frame(" and ended")).await;
    assert_eq!((how, read_all(&mut twin).await.0), (Again::Joined, b"begun and ended".to_vec()));

    server.stop();
    let (c, d) = (wish("other"), wish("another"));
    let under = |wish: &Wish| Wish { name: Name { key: "k2".into(), ..wish.name.clone() }, ..wish.clone() };
    let began = Instant::now();
    let (one, other) = (a.claims.claim(&under(&c)).await, b.claims.claim(&under(&d)).await);
    assert!(matches!((&one, &other), (Claim::First(..), Claim::First(..))), "{one:?} {other:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(matches!(a.claims.claim(&under(&c)).await, Claim::Again(Again::Joined, _)));
    assert!(!a.redis.is_up());
}
