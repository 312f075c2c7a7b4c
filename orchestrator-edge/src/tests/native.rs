//! The client API: what the core is asked, and what becomes of its answer.

use std::{fmt::Write as _, sync::atomic::Ordering::Relaxed};

use tonic::{Code, Status};

use super::{
    app, app_with, ask,
    fake_core::{FakeCore, head, last, part},
    get, request,
};

const CHAT: &str = "/v1/chat/completions";
const EVENTS: &str = "text/event-stream; charset=utf-8";

#[tokio::test]
async fn a_whole_answer_is_the_cores_bytes_with_their_length() {
    let core = FakeCore::saying(vec![Ok(head(201, "application/json", r#"{"id": 1 }"#))]);
    let answer = ask(&app(core.channel()), request("POST", CHAT, &[("x-request-id", "r-1")], "{ }")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (201, r#"{"id": 1 }"#));
    assert_eq!(answer.header("content-length"), "10");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-orchestrator-provider"), "echo");
    assert_eq!(answer.header("x-request-id"), "r-1");
    assert_eq!(core.last_seen().0.body, "{ }");
    assert_eq!(core.completed.load(Relaxed), 1, "a stream left before its trailers would be reset");
}

#[tokio::test]
async fn a_streams_bytes_are_the_cores_bytes() {
    let parts = [
        head(200, EVENTS, ": hi\n\n"),
        part("data: a\n\n"),
        part(""),
        part("data: b\r\n\r\n"),
        part("data: [DONE]\n\n"),
    ];
    let core = FakeCore::saying(parts.map(Ok).to_vec());
    let answer = ask(&app(core.channel()), request("POST", CHAT, &[], "{}")).await;
    assert_eq!(answer.text(), ": hi\n\ndata: a\n\ndata: b\r\n\r\ndata: [DONE]\n\n");
    assert_eq!(answer.header("content-type"), EVENTS);
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("content-length"), "");
    assert_eq!(core.completed.load(Relaxed), 1, "a stream left before its trailers would be reset");
}

#[tokio::test]
async fn an_answer_in_parts_that_is_no_event_stream_keeps_their_order() {
    let parts = [head(200, "audio/mpeg", ""), part("one"), part("two")];
    let answer =
        ask(&app(FakeCore::saying(parts.map(Ok).to_vec()).channel()), request("POST", CHAT, &[], "")).await;
    assert_eq!(answer.text(), "onetwo");
}

#[tokio::test]
async fn the_core_is_told_everything_that_the_caller_said() {
    let core = FakeCore::saying(vec![Ok(head(200, "application/json", "{}"))]);
    let said = [
        ("authorization", "Bearer one"),
        ("x-api-key", "two"),
        ("x-goog-api-key", "three"),
        ("x-request-id", "r-1"),
        ("idempotency-key", "i-1"),
        ("session_id", "s-1"),
        ("x-orchestrator-timeout-ms", "1500"),
        ("x-orchestrator-tags", r#"{"team":"red"}"#),
        ("x-orchestrator-strict", "true"),
        ("x-orchestrator-providers", "a, b-2"),
        ("openai-beta", "x=v1"),
        ("user-agent", "tester/1"),
        ("cookie", "no"),
        ("content-type", "application/json"),
    ];
    ask(&app(core.channel()), request("POST", "/v1/embeddings?beta=true&key=four", &said, "BODY")).await;

    let (asked, metadata) = core.last_seen();
    insta::assert_snapshot!(format!("{asked:#?}"), @r#"
    InvokeRequest {
        dialect: "openai_embeddings",
        operation: "",
        method: "POST",
        path_args: {},
        query: "beta=true",
        headers: {
            "openai-beta": "x=v1",
        },
        content_type: "application/json",
        body: b"BODY",
        timeout_ms: Some(
            1500,
        ),
        idempotency_key: "i-1",
        session_id: "s-1",
        tags: {
            "team": "red",
        },
        strict: true,
        client_address: "",
        user_agent: "tester/1",
        providers: [
            "a",
            "b-2",
        ],
        request_id: "r-1",
    }
    "#);
    assert_eq!(metadata["x-request-id"], "r-1", "the core's log speaks of it by that name");
    let keys = ["authorization", "x-api-key", "x-goog-api-key"].map(|name| metadata[name].to_str().unwrap());
    assert_eq!(
        keys,
        ["Bearer one", "two", "three"],
        "the core refuses keys that differ, so it must see them all"
    );
}

#[tokio::test]
async fn a_malformed_header_is_a_400_that_names_it() {
    let core = FakeCore::saying(vec![Ok(head(200, "application/json", "{}"))]);
    let app = app(core.channel());
    for (name, value) in [
        ("x-orchestrator-timeout-ms", "soon"),
        ("x-orchestrator-timeout-ms", "0"),
        ("x-orchestrator-tags", r#"{"team":1}"#),
        ("x-orchestrator-tags", "[]"),
        ("x-orchestrator-strict", "maybe"),
        ("x-orchestrator-providers", "a,,b"),
        ("idempotency-key", "naïve"),
        ("idempotency-key", ""),
        ("idempotency-key", "two words"),
    ] {
        let answer = ask(&app, request("POST", CHAT, &[(name, value)], "{}")).await;
        let error: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (answer.status.as_u16(), &error["error"]["param"]),
            (400, &name.into()),
            "{name}: {value}"
        );
    }
    assert!(core.seen.lock().unwrap().is_empty(), "none of them reached the core");
}

#[tokio::test]
async fn every_prefix_leads_to_the_same_dialect_and_operation() {
    let core = FakeCore::saying(vec![Ok(head(200, "application/json", "{}"))]);
    let app = app(core.channel());
    let mut table = String::new();
    for prefix in ["/v1", "/openai/v1", "/api/v1"] {
        for (method, path) in [
            ("POST", "/chat/completions"),
            ("POST", "/completions"),
            ("POST", "/embeddings"),
            ("GET", "/models"),
            ("GET", "/models/meta/llama:free"),
            ("GET", "/models/meta%2Fllama"),
        ] {
            let path = format!("{prefix}{path}");
            assert_eq!(ask(&app, request(method, &path, &[], "")).await.status, 200, "{path}");
            let asked = core.last_seen().0;
            let id = asked.path_args.get("id").map(String::as_str).unwrap_or_default();
            writeln!(table, "{method} {path}: {} {} {id}", asked.dialect, asked.operation).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_before_it_is_read() {
    let core = FakeCore::saying(vec![Ok(head(200, "application/json", "{}"))]);
    let app = app_with(core.channel(), |config| config.limits.max_body_bytes = 4);
    assert_eq!(ask(&app, request("POST", CHAT, &[], "1234")).await.status, 200);
    let mut too_large = request("POST", CHAT, &[("content-length", "5")], "");
    *too_large.body_mut() =
        axum::body::Body::from_stream(futures_util::stream::pending::<Result<String, Status>>());
    let answer = ask(&app, too_large).await;
    assert_eq!(answer.status, 413);
    insta::assert_snapshot!(answer.text(), @r#"{"error":{"code":"body_too_large","message":"The body is larger than 4 bytes (MAX_BODY_BYTES).","param":null,"type":"invalid_request_error"}}"#);
}

#[tokio::test]
async fn clients_of_anthropic_find_the_requests_id_where_their_sdk_looks() {
    let core = FakeCore::new(|_| Err(Status::unavailable("no")));
    for (path, found) in [("/v1/messages", "r-1"), (CHAT, "")] {
        let answer = ask(&app(core.channel()), request("POST", path, &[("x-request-id", "r-1")], "{}")).await;
        assert_eq!((answer.header("request-id"), answer.header("x-request-id")), (found, "r-1"));
    }
}

#[tokio::test]
async fn a_core_lost_before_the_head_is_an_error_with_a_status() {
    let mut table = String::new();
    for code in
        [Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded, Code::Internal, Code::Unauthenticated]
    {
        let core = FakeCore::new(move |_| Err(Status::new(code, "10.0.0.7 said so")));
        let answer = ask(&app(core.channel()), request("POST", CHAT, &[], "{}")).await;
        let retry_after = answer.header("retry-after");
        writeln!(table, "{code:?}: {} retry-after={retry_after} {}", answer.status, answer.text()).unwrap();
        assert!(!answer.header("x-request-id").is_empty());
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_core_that_ends_without_an_answer_is_a_503() {
    for parts in [vec![], vec![Ok(part("no head"))], vec![Ok(head(99, "application/json", ""))]] {
        let answer = ask(&app(FakeCore::saying(parts).channel()), request("POST", CHAT, &[], "{}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    }
}

#[tokio::test]
async fn a_core_lost_in_a_stream_ends_it_with_an_error_event_and_no_done() {
    let parts = vec![Ok(head(200, EVENTS, "data: a\n\n")), Err(Status::unavailable("10.0.0.7 is gone"))];
    let answer = ask(&app(FakeCore::saying(parts).channel()), request("POST", CHAT, &[], "{}")).await;
    insta::assert_snapshot!(answer.text(), @r#"
    data: a

    data: {"error":{"code":"core_unavailable","message":"The gateway's core cannot be reached; try again in a moment.","param":null,"type":"server_error"}}
    "#);
    assert!(answer.text().ends_with("\n\n"), "the event is whole");
}

#[tokio::test]
async fn a_core_lost_behind_a_streams_last_part_adds_nothing_to_it() {
    let chat = ["data: a\n\n", "data: [DONE]\n\n"];
    let array = ["[{}", ",\r\n{}]"];
    let audio = ["one", "two"];
    let gemini = "/v1beta/models/m:streamGenerateContent";
    for (path, content_type, [first, second]) in [
        (CHAT, EVENTS, chat),
        ("/v1/messages", EVENTS, chat),
        (gemini, "application/json", array),
        (CHAT, "audio/mpeg", audio),
    ] {
        let gone = || Err(Status::unavailable("10.0.0.7 is gone"));
        let answers = [
            vec![Ok(head(200, content_type, first)), Ok(last(part(second))), gone()],
            // A last part may be empty, and may be the first.
            vec![Ok(head(200, content_type, first)), Ok(part(second)), Ok(last(part(""))), gone()],
        ];
        for parts in answers {
            let core = FakeCore::saying(parts);
            let answer = ask(&app(core.channel()), request("POST", path, &[], "{}")).await;
            assert_eq!(answer.text(), [first, second].concat(), "{path}");
        }
        let core = FakeCore::saying(vec![Ok(last(head(200, content_type, second))), gone()]);
        let answer = ask(&app(core.channel()), request("POST", path, &[], "{}")).await;
        assert_eq!(answer.text(), second, "{path}");
    }
}

#[tokio::test]
async fn a_core_lost_in_a_stream_of_geminis_ends_it_in_its_own_framing() {
    let stream = "/v1beta/models/m:streamGenerateContent";
    for (path, content_type, begun) in [
        (format!("{stream}?alt=sse"), EVENTS, "data: {}\r\n\r\n"),
        (stream.to_owned(), "application/json", "[{}"),
        (stream.to_owned(), "application/json", "\n"),
    ] {
        let parts = vec![Ok(head(200, content_type, begun)), Err(Status::unavailable("10.0.0.7 is gone"))];
        let answer = ask(&app(FakeCore::saying(parts).channel()), request("POST", &path, &[], "{}")).await;
        let rest = answer.text().strip_prefix(begun).unwrap();
        assert!(rest.contains(r#""status":"UNAVAILABLE""#), "{rest}");
        if content_type == "application/json" {
            let array: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
            assert_eq!(array.as_array().unwrap().last().unwrap()["error"]["code"], 503, "{array}");
        }
    }
}

#[tokio::test]
async fn the_edges_own_errors_are_in_googles_envelope_on_googles_paths() {
    let app = app_with(FakeCore::saying(vec![]).channel(), |config| config.limits.max_body_bytes = 4);
    for (method, path, status) in [
        ("POST", "/v1beta/models/m:generateContent", 413),
        ("POST", "/v1/models/m:generateContent", 413),
        ("POST", "/gemini/v1beta/models/m:nothing", 404),
        ("DELETE", "/v1beta/models", 405),
    ] {
        let answer = ask(&app, request(method, path, &[], "too large")).await;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status.as_u16(), &body["error"]["code"]), (status, &status.into()), "{path}");
        assert!(body["error"]["status"].is_string() && body["error"]["param"].is_null(), "{body}");
    }
}

#[tokio::test]
async fn a_core_lost_after_a_whole_answer_does_not_cost_the_answer() {
    let parts = vec![Ok(head(200, "application/json", "{}")), Err(Status::unavailable("gone"))];
    let answer = ask(&app(FakeCore::saying(parts).channel()), get("/v1/models")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
}

#[tokio::test]
async fn an_answer_may_be_as_large_as_the_largest_that_the_core_takes_from_a_provider() {
    let mut large = head(200, "application/json", "");
    large.data = vec![b'x'; 5 << 20].into();
    let core = FakeCore::saying(vec![Ok(large)]);
    let answer = ask(&app(core.channel()), request("POST", CHAT, &[], "{}")).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 5 << 20));

    let narrow = app_with(core.channel(), |config| {
        config.limits.max_answer_bytes = 1 << 20;
        config.limits.max_body_bytes = 1 << 20;
    });
    assert_eq!(ask(&narrow, request("POST", CHAT, &[], "{}")).await.status, 500);
}

#[tokio::test]
async fn the_edges_of_all_threads_share_the_bound_on_bodies_in_flight() {
    let never_answers = FakeCore::new(|_| Ok(Box::pin(futures_util::stream::pending())));
    let first = app_with(never_answers.channel(), |config| config.limits.max_body_bytes = 1 << 16);
    let second = first.for_thread(never_answers.channel());
    let body = "x".repeat(1 << 16);
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut call = Box::pin(ask(&first, request("POST", CHAT, &[], &body)));
        assert!(futures_util::poll!(&mut call).is_pending());
        held.push(call);
    }
    assert_eq!(ask(&second, request("POST", CHAT, &[], "{}")).await.status, 503);
}
