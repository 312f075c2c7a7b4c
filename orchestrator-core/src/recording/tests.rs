//! Recordings by themselves: who reads what, who waits for whom, and what is held.

use futures_util::FutureExt as _;
use orchestrator_base::config::Idempotency;

use super::{
    claims::{Again, Claim, Claims, Name, Recorder, Wish, fingerprint},
    *,
};
use crate::error::ErrorKind;

fn wish(api_key_id: &str, asked: &str) -> Wish {
    let name = Name { api_key_id: api_key_id.into(), key: "k".into() };
    Wish { name, fingerprint: fingerprint(&[asked.as_bytes()]) }
}

fn claims(max_bytes: usize) -> Arc<Claims> {
    Claims::new(&Idempotency { max_bytes, ..Idempotency::default() }, None)
}

/// Nothing is elsewhere, so nothing is waited for.
fn claim(claims: &Arc<Claims>, wish: &Wish) -> Claim {
    claims.claim(wish).now_or_never().unwrap()
}

fn first(claims: &Arc<Claims>) -> (Recorder, Follow) {
    match claim(claims, &wish("caller", "hi")) {
        Claim::First(recorder, follow) => (recorder, follow),
        other => panic!("{other:?}"),
    }
}

fn twin(claims: &Arc<Claims>) -> (Again, Follow) {
    match claim(claims, &wish("caller", "hi")) {
        Claim::Again(again, follow) => (again, follow),
        other => panic!("{other:?}"),
    }
}

fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// What a follower gets now, without waiting, and how it ended if it has.
fn read(follow: &mut Follow) -> (String, Option<Arc<Ending>>) {
    let mut text = String::new();
    while let Some(part) = follow.next().now_or_never() {
        match part {
            Part::Frame(frame) => text.push_str(std::str::from_utf8(&frame).unwrap()),
            Part::Last(frame, ending) => {
                text.push_str(std::str::from_utf8(&frame).unwrap());
                return (text, Some(ending));
            }
        }
    }
    (text, None)
}

#[tokio::test]
async fn everybody_gets_the_frames_so_far_and_then_the_rest_at_its_own_pace() {
    let claims = claims(1000);
    let (recorder, mut caller) = first(&claims);
    assert!(caller.opening().now_or_never().is_none());
    recorder.open(Opening { request_id: "r1".into(), ..Opening::default() });
    recorder.append(frame("a"));
    recorder.append(frame("b"));
    let (again, mut late) = twin(&claims);
    let (_, mut slow) = twin(&claims);
    assert_eq!((again, &*late.opening().await.unwrap().request_id), (Again::Joined, "r1"));
    assert_eq!((read(&mut caller).0, read(&mut late).0), ("ab".into(), "ab".into()));
    recorder.append(frame("c"));
    assert_eq!(read(&mut late).0, "c");
    recorder.complete(frame("d")).now_or_never().unwrap();
    for (follow, rest) in [(&mut caller, "cd"), (&mut late, "d"), (&mut slow, "abcd")] {
        let (text, ending) = read(follow);
        assert!(text == rest && matches!(*ending.unwrap(), Ending::Complete), "{text}");
    }
    let (again, mut later) = twin(&claims);
    assert_eq!((again, read(&mut later).0), (Again::Replayed, "abcd".into()));
}

#[test]
fn a_key_is_its_callers_own_and_stands_for_one_request() {
    let claims = claims(1000);
    let (_recorder, _caller) = first(&claims);
    assert!(matches!(claim(&claims, &wish("caller", "something else")), Claim::Reused));
    assert!(matches!(claim(&claims, &wish("another", "something else")), Claim::First(..)));
    assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
}

#[test]
fn what_has_no_good_end_frees_its_key() {
    let claims = claims(1000);
    let error = || Error::new(ErrorKind::ProviderFailed, "broken");
    let ends: [&dyn Fn(Recorder); 4] = [
        &|recorder| recorder.fail(error(), None).now_or_never().unwrap(),
        &|recorder| {
            recorder.open(Opening::default());
            recorder.cut(frame("broken"), error()).now_or_never().unwrap();
        },
        &drop,
        &|recorder| recorder.open(Opening::default()),
    ];
    let mut endings = Vec::new();
    for end in ends {
        let (recorder, mut caller) = first(&claims);
        let (_, mut joined) = twin(&claims);
        end(recorder);
        let (told, same) = (read(&mut caller), read(&mut joined));
        assert_eq!(told.0, same.0);
        assert!(Arc::ptr_eq(told.1.as_ref().unwrap(), same.1.as_ref().unwrap()));
        endings.push(match &*told.1.unwrap() {
            Ending::Failed { .. } => "failed",
            Ending::Cut { told: true, .. } => "cut",
            Ending::Cut { told: false, .. } => "given up",
            Ending::Vacated => "vacated",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(endings, ["failed", "cut", "vacated", "given up"]);
}

#[tokio::test]
async fn a_first_caller_that_reads_slowly_holds_up_only_what_is_too_large_to_be_kept() {
    let claims = claims(WINDOW);
    let (recorder, mut caller) = first(&claims);
    let (_, mut joined) = twin(&claims);
    let part = Bytes::from(vec![b'x'; WINDOW / 2]);
    recorder.append(part.clone());
    recorder.append(part.clone());
    assert_eq!(recorder.ready().now_or_never(), Some(true), "it may be kept, so nobody is waited for");
    assert_eq!(read(&mut joined).0.len(), WINDOW);
    recorder.append(part.clone());
    assert!(matches!(*read(&mut joined).1.unwrap(), Ending::TooLarge));
    let (_, mut late) = twin(&claims);
    assert!(matches!(*late.opening().await.unwrap_err(), Ending::TooLarge));

    assert_eq!(recorder.ready().now_or_never(), None, "the first caller has read nothing");
    let mut got = 0;
    for _ in 0..100 {
        while recorder.ready().now_or_never() == Some(true) {
            recorder.append(part.clone());
        }
        let Part::Frame(frame) = caller.next().await else { panic!("it is not over") };
        got += frame.len();
    }
    assert_eq!(got, 100 * part.len());
    drop(caller);
    assert_eq!(recorder.ready().now_or_never(), Some(false), "nobody is left");
    recorder.complete(Bytes::new()).now_or_never().unwrap();
    drop(late);
    drop(joined);
    drop(first(&claims));
}

#[tokio::test]
async fn who_waits_is_woken_by_what_it_waits_for() {
    let claims = claims(1000);
    let (recorder, mut caller) = first(&claims);
    let (_, mut joined) = twin(&claims);
    let reading = async {
        let opening = joined.opening().await.unwrap();
        (opening.status, joined.next().await, caller.next().await)
    };
    let writing = async {
        tokio::task::yield_now().await;
        recorder.open(Opening { status: 200, ..Opening::default() });
        tokio::task::yield_now().await;
        recorder.complete(frame("all")).now_or_never().unwrap();
    };
    let ((status, one, other), ()) = tokio::join!(reading, writing);
    assert_eq!(status, 200);
    for part in [one, other] {
        assert!(matches!(part, Part::Last(frame, _) if frame == "all"));
    }
}

#[test]
fn what_is_forgotten_gives_its_bytes_back_when_its_last_reader_is_gone() {
    let settings = Idempotency { max_bytes: 100, total_bytes: 150, ..Idempotency::default() };
    let claims = Claims::new(&settings, None);
    let hundred = || Bytes::from(vec![b'x'; 100]);
    let first = |name: &str| match claim(&claims, &wish(name, "")) {
        Claim::First(recorder, follow) => (recorder, follow),
        other => panic!("{other:?}"),
    };
    let (recorder, reader) = first("one");
    recorder.complete(hundred()).now_or_never().unwrap();
    let (recorder, mut second) = first("two");
    recorder.append(hundred());
    let told = read(&mut second);
    assert_eq!(told.0.len(), 100, "the first caller gets it all the same");
    let Claim::Again(_, mut joined) = claim(&claims, &wish("two", "")) else { panic!() };
    assert!(matches!(*read(&mut joined).1.unwrap(), Ending::TooLarge), "somebody still reads the one before");
    drop((recorder, reader));
    let (recorder, _follow) = first("three");
    recorder.complete(hundred()).now_or_never().unwrap();
    assert!(matches!(claim(&claims, &wish("three", "")), Claim::Again(Again::Replayed, _)));
}
