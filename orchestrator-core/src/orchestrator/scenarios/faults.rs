//! The rows of the fault table that are about providers.

use bytes::Bytes;

use super::{
    script::{Act, Step, breaks, never_connects, plays, plays_as, refuses, says, status},
    wires::{Word, claims_success, errors_told},
    world::{World, at, provider, stream, whole},
};
use crate::dialect::Dialect;

const CHAT: Dialect = Dialect::OpenAiChat;

fn two(first: Act) -> World {
    World::of([provider("a", [first]), provider("b", [says("hello")])])
}

#[tokio::test(start_paused = true)]
async fn a_server_error_of_one_provider_is_mended_by_the_next_at_once() {
    for code in [500, 502, 503, 504, 529] {
        for question in [whole(), stream()] {
            let world = two(status(code));
            let seen = world.ask(question).await;
            assert_eq!((seen.status, seen.end_at), (200, 0), "{code}");
            assert_eq!(world.asked(), at(&[("a", 0), ("b", 0)]));
            assert!(seen.text().contains("hello"));
            assert_eq!(
                (seen.header("x-orchestrator-provider"), seen.header("x-orchestrator-attempts")),
                ("b", "2")
            );
            assert_eq!(world.account(), ("ok".into(), 2));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_error_of_the_only_provider_is_asked_away_with_full_jitter() {
    let world = World::of([provider("a", [status(503), status(529), says("hello")])]);
    let seen = world.ask(whole()).await;
    let times: Vec<u64> = world.asked().iter().map(|(_, at)| *at).collect();
    assert_eq!((seen.status, times.len()), (200, 3));
    // At most 100 ms, then at most 200 ms, and these dice say:
    assert_eq!(times, [0, 25, 91]);
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_most_telling_status_is_kept_and_how_many_were_tried() {
    let world = World::of([
        provider("a", [status(529)]),
        provider("b", [refuses()]),
        provider("c", [status(404)]),
        provider("d", [says("one too many")]),
    ]);
    let seen = world.ask(whole()).await;
    assert_eq!(seen.status, 529);
    assert_eq!(world.asked(), at(&[("a", 0), ("b", 0), ("c", 0)]));
    assert!(seen.text().contains("scripted 529"), "{}", seen.text());
    assert_eq!((seen.header("x-orchestrator-attempts"), seen.header("x-should-retry")), ("3", "false"));
    assert!(world.records()[0].error.ends_with("(after 3 attempts)"), "{:?}", world.records());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_before_content_is_mended_elsewhere_in_silence() {
    let before_content: [(&str, Act); 9] = [
        ("no listener", refuses()),
        ("a reset before the head", breaks()),
        ("a reset after the head", plays([Step::Reset])),
        ("an end after the head", plays(Vec::<Step>::new())),
        ("a reset behind the role", plays([Step::Say(Word::Head), Step::Reset])),
        ("an end behind empty deltas", plays([Word::Head, Word::Empty, Word::Empty])),
        ("half an event", plays([Step::Raw(Bytes::from_static(b"data: {\"choices\":[{\"ind"))])),
        ("an HTML page", plays_as("text/html", "<html>maintenance</html>")),
        ("nonsense", plays([Step::Raw(Bytes::from_static(b"data: {{{\n\nwhat: ever\n\n"))])),
    ];
    for (what, act) in before_content {
        let world = two(act);
        let seen = world.ask(stream()).await;
        assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("b", 0)])), "{what}");
        assert!(seen.text().contains("hello") && claims_success(CHAT, &seen.text()), "{what}");
        assert_eq!(errors_told(&seen.text()), 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_that_is_not_whole_is_none() {
    let half = Bytes::from_static(br#"{"id":"c1","object":"chat.comp"#);
    let cases: [(&str, Act); 5] = [
        ("a wrong content-length", plays([Step::Raw(half.clone()), Step::Reset])),
        ("an end inside", plays([Step::Raw(half)])),
        ("nothing", plays(Vec::<Step>::new())),
        ("an HTML page", plays_as("text/html", "<html>maintenance</html>")),
        (
            "an error under a 200",
            plays_as("application/json", r#"{"error":{"message":"overloaded","type":"x"}}"#),
        ),
    ];
    for (what, act) in cases {
        let world = two(act);
        let seen = world.ask(whole()).await;
        assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("b", 0)])), "{what}");
        assert!(seen.text().contains("hello"), "{what}: {}", seen.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_behind_content_ends_honestly() {
    let cut_in_event = Bytes::from_static(b"data: {\"choices\":[{\"ind");
    let endings: [(&str, Vec<Step>); 3] = [
        ("a reset", vec![Step::Reset]),
        ("an end without a reason", vec![]),
        ("an end inside an event", vec![Step::Raw(cut_in_event)]),
    ];
    for (what, ending) in endings {
        let mut steps = vec![Step::Say(Word::Head), Step::Say(Word::Text("hel")), Step::Pause(1500)];
        steps.extend(ending);
        let world = two(plays(steps));
        let seen = world.ask(stream()).await;
        assert_eq!((seen.status, seen.head_at, seen.end_at), (200, 0, 1500), "{what}");
        assert_eq!(world.asked(), at(&[("a", 0)]), "{what}: fail-over is closed");
        assert_eq!(errors_told(&seen.text()), 1, "{what}: {}", seen.text());
        assert!(!claims_success(CHAT, &seen.text()), "{what}: {}", seen.text());
        assert_eq!(world.account(), ("truncated".into(), 1), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_be_connected_to_costs_three_seconds() {
    let world = two(never_connects());
    let seen = world.ask(whole()).await;
    assert_eq!((seen.status, seen.end_at), (200, 3000));
    assert_eq!(world.asked(), at(&[("a", 0), ("b", 3000)]));
}

#[tokio::test(start_paused = true)]
async fn how_a_stream_is_cut_into_reads_and_lines_does_not_matter() {
    let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Zürich 👋\"}}]}\n\n\
                data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let variants = [
        ("LF", text.to_owned()),
        ("CR only", text.replace('\n', "\r")),
        ("CRLF", text.replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{text}")),
    ];
    for (what, text) in variants {
        let bytes = text.clone().into_bytes();
        let single = bytes.iter().map(|byte| Step::Raw(Bytes::copy_from_slice(&[*byte])));
        let world = two(plays(single.collect::<Vec<_>>()));
        let seen = world.ask(stream()).await;
        assert_eq!(seen.text().trim_start_matches('\u{feff}'), text.trim_start_matches('\u{feff}'), "{what}");
        assert_eq!((world.asked(), world.account()), (at(&[("a", 0)]), ("ok".into(), 1)), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_end_is_given_up_in_bounded_memory() {
    let mebibyte = Bytes::from(vec![b'x'; 1 << 20]);
    let endless = || std::iter::repeat_n(Step::Raw(mebibyte.clone()), 64);
    let before = std::iter::once(Step::Raw(Bytes::from_static(b"data: "))).chain(endless());
    let world = two(plays(before.collect::<Vec<_>>()));
    let seen = world.ask(stream()).await;
    assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("b", 0)])));

    let behind =
        [Step::Say(Word::Text("hel")), Step::Raw(Bytes::from_static(b"data: "))].into_iter().chain(endless());
    let world = two(plays(behind.collect::<Vec<_>>()));
    let seen = world.ask(stream()).await;
    assert_eq!((errors_told(&seen.text()), claims_success(CHAT, &seen.text())), (1, false));
    assert!(seen.text().len() < 10_000);
}

#[tokio::test(start_paused = true)]
async fn events_without_content_are_not_held_without_end() {
    let comment = Bytes::from(format!(": {}\n\n", "x".repeat(1 << 20)));
    let chatter = std::iter::repeat_n(Step::Raw(comment), 64);
    let too_late = [Step::Say(Word::Text("at last")), Step::Say(Word::Stop), Step::Say(Word::Done)];
    let world = two(plays(chatter.chain(too_late).collect::<Vec<_>>()));
    let seen = world.ask(stream()).await;
    assert_eq!((seen.status, world.asked()), (200, at(&[("a", 0), ("b", 0)])));
    assert!(seen.text().len() < 10_000, "what was held of the first provider is forgotten");
}
