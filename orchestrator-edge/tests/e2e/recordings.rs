//! Real traffic through the running gateway: what OpenAI, Azure and compatible servers were asked and answered goes through edge and
//! core, over sockets, and arrives as it was sent; the provider judges each request byte for byte, and the ledger has its usage.

mod oracle;
mod replay;

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    fixtures,
    judge::{Body, Judge, Operation},
    provider::{Answer, Cut, Provider, Script},
    recorded::{self, Recording},
};
use serde_json::{Value, json};

use crate::gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY};
use replay::{Exchange, by_request, count, with_model};

const CHAT: &str = "/chat/completions";

/// Streams up to here are also sent byte by byte: each byte costs a chunk, a read and a write.
const SMALL: usize = 8 * 1024;

#[tokio::test]
async fn every_recorded_exchange_passes_unchanged_and_is_accounted_for_embedded() {
    sweep(Channel::Embedded).await;
}

#[tokio::test]
async fn every_recorded_exchange_passes_unchanged_and_is_accounted_for_split() {
    sweep(Channel::Split).await;
}

/// Plays every exchange, cut in several ways, through one gateway, and then reads the ledger.
async fn sweep(channel: Channel) {
    let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
    let mut exchanges = Vec::new();
    let mut played = 0;
    for (number, recording) in recorded::everything().into_iter().enumerate() {
        let exchange = Exchange::prepare(&gateway, &provider, &format!("r{number}"), recording).await;
        let cuts = cuts(&exchange.recording);
        for (index, cut) in cuts.iter().enumerate() {
            let case = format!("{channel:?} {} {cut:?}", exchange.recording.file);
            let request_id = format!("r{number}-{index}");
            let answer = exchange.play(&gateway.client, cut, &request_id).await;
            assert_eq!(exchange.endpoint.complaints(), Vec::<String>::new(), "{case}");
            exchange.expected.check(&answer, &case);
            assert_eq!(answer.header("x-request-id"), request_id, "{case}");
        }
        assert_eq!(exchange.endpoint.seen().len(), cuts.len(), "{}", exchange.recording.file);
        played += cuts.len();
        exchanges.push(exchange);
    }
    let rows = gateway.logs(played).await;
    assert_eq!(rows.len(), played, "one record each");
    let rows = by_request(rows);
    for (number, exchange) in exchanges.iter().enumerate() {
        for index in 0..cuts(&exchange.recording).len() {
            check_account(&rows[&format!("r{number}-{index}")], exchange);
        }
    }
    gateway.stop().await;
}

/// Everything whole and scattered by a seed; streams by two seeds, and the short ones byte by byte.
fn cuts(recording: &Recording) -> Vec<Cut> {
    let mut cuts = vec![Cut::Whole, Cut::Seeded(11)];
    if recording.is_event_stream() {
        cuts.push(Cut::Seeded(12));
        if recording.body.len() <= SMALL {
            cuts.push(Cut::EveryByte);
        }
    }
    cuts
}

/// The ledger has what the provider counted, or says that it has estimated.
fn check_account(row: &Value, exchange: &Exchange) {
    let case = format!("{}: {row}", exchange.recording.file);
    assert_eq!(count(row, "status"), u64::from(exchange.expected.status()), "{case}");
    assert_eq!(count(row, "attempts"), 1, "{case}");
    let columns = ["prompt_tokens", "completion_tokens", "cached_read_tokens", "reasoning_tokens"];
    let written = columns.map(|column| count(row, column));
    if exchange.expected.status() != 200 {
        assert_eq!(written, [0; 4], "{case}");
        return;
    }
    let Some(usage) = recorded::usage_of(&exchange.recording) else {
        assert_eq!(row["usage_source"], "estimated", "{case}");
        assert!(written[0] > 0, "{case}");
        return;
    };
    let prompt = usage.prompt.unwrap_or(0);
    let completion = usage.completion.or(usage.total.map(|total| total - prompt)).unwrap_or(0);
    let told = [prompt, completion, usage.cached.unwrap_or(0), usage.reasoning.unwrap_or(0)];
    assert_eq!(row["usage_source"], "provider", "{case}");
    assert_eq!(written, told, "{case}");
}

/// What only a byte-for-byte path keeps: a number that no double holds, escapes, white space, fields of tomorrow.
const ODD_REQUEST: &str = r#"{ "model" : "MODEL", "temperature":1.0000000000000000001, "stream": STREAM,"vendor":{"seed":12345678901234567890,"x":1E0,"y":1e400},
  "messages":[{"role":"user","content":"gr\u00fc\u00dfe \/","vendor_part":[-0]}] }"#;
const ODD_ANSWER: &str = r#"{ "id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"\u0068i","mood":1.0000000000000000001},"finish_reason":"stop"}],
  "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"cost":0.0000010},"tomorrow":{"n":12345678901234567890} }"#;
const ODD_STREAM: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\u0068i\"}}], \"score\":1.0000000000000000001}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"mood\":{\"n\":12345678901234567890}}}],\"tomorrow\" : [1E0]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
);

#[tokio::test]
async fn numbers_no_double_holds_and_unknown_fields_arrive_untouched_at_both_ends() {
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        let no_usage = json!({"max_retries": 0, "options": {"include_usage": false}});
        gateway.add_provider("odd", &provider.base_url(), no_usage).await;
        for stream in [false, true] {
            let request = ODD_REQUEST.replace("STREAM", if stream { "true" } else { "false" });
            let answer = if stream {
                Answer::stream("text/event-stream", ODD_STREAM)
            } else {
                Answer::whole(200, "application/json", ODD_ANSWER)
            };
            provider.route(CHAT, answer);
            let got =
                gateway.client.post_bytes("/v1/chat/completions", request.replace("MODEL", "odd/m-1")).await;
            assert_eq!(got.text(), if stream { ODD_STREAM } else { ODD_ANSWER }, "{channel:?}");
            let sent = provider.seen().last().unwrap().body.clone();
            assert_eq!(sent, Bytes::from(request.replace("MODEL", "m-1")), "{channel:?}");
        }
        gateway.stop().await;
    }
}

/// Who wants usage, and who gets it.
struct Wish {
    caller_asks: bool,
    provider_may_be_asked: bool,
}

#[tokio::test]
async fn usage_is_metered_for_everybody_and_shown_to_who_asked() {
    let wishes = [(false, true), (true, true), (false, false), (true, false)]
        .map(|(caller_asks, provider_may_be_asked)| Wish { caller_asks, provider_may_be_asked });
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        for (number, wish) in wishes.iter().enumerate() {
            stream_with(wish, &gateway, &provider, &format!("p{number}")).await;
        }
        let rows = gateway.logs(wishes.len()).await;
        for (row, wish) in rows.iter().zip(&wishes) {
            let told = wish.caller_asks || wish.provider_may_be_asked;
            assert_eq!(row["usage_source"], if told { "provider" } else { "estimated" }, "{channel:?} {row}");
            let completion = count(row, "completion_tokens");
            assert!(if told { completion == 7 } else { (3..=12).contains(&completion) }, "{channel:?} {row}");
        }
        gateway.stop().await;
    }
}

/// A provider that tells usage exactly when it is asked to, as OpenAI does.
async fn stream_with(wish: &Wish, gateway: &Gateway, provider: &Provider, name: &str) {
    let (silent, telling) = (fixtures::named("chat_stream"), fixtures::named("chat_stream_usage"));
    let asks = |request: &Value| request["stream_options"]["include_usage"] == true;
    let endpoint = provider.named(name);
    let bodies = [silent.body.clone(), telling.body.clone()];
    endpoint.route(
        CHAT,
        Script::choose(move |_, seen| {
            let body = bodies[usize::from(asks(&seen.json()))].clone();
            Answer::stream("text/event-stream", body)
        }),
    );
    let options = if wish.provider_may_be_asked { json!({}) } else { json!({"include_usage": false}) };
    gateway.add_provider(name, &endpoint.base_url(), json!({"options": options})).await;

    let request = if wish.caller_asks { telling.request_body } else { silent.request_body }.unwrap();
    let judge = Judge::new(Operation::ChatCompletions, PROVIDER_KEY, "m", Body::recorded_bytes(&request));
    let judge = if wish.provider_may_be_asked { judge } else { judge.without_added_usage() };
    endpoint.judge(CHAT, judge);

    let body = with_model(&request, &format!("{name}/m"));
    let answer = gateway.client.post_bytes("/v1/chat/completions", body).await;
    assert_eq!(endpoint.complaints(), Vec::<String>::new());
    let asked = asks(&endpoint.seen()[0].json());
    assert_eq!(asked, wish.caller_asks || wish.provider_may_be_asked, "{name}");
    let shown = answer.text().contains("\"usage\":{");
    assert_eq!(shown, wish.caller_asks, "{name}: {}", answer.text());
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{name}: {}", answer.text());
}

#[tokio::test]
async fn a_splice_that_changes_anything_more_is_refused_by_the_judge() {
    let broken = [("temperature", "0.5"), ("vendor", r#"{"seed":1}"#), ("n", "1")];
    for channel in CHANNELS {
        let (gateway, provider) = (Gateway::start(channel).await, Provider::start().await);
        for (number, (field, json)) in broken.into_iter().enumerate() {
            let name = format!("b{number}");
            let endpoint = provider.named(&name);
            let request = r#"{"model":"m","temperature":0.50,"vendor":{"seed":1.0},"messages":[{"role":"user","content":"Say hello."}]}"#;
            let judge =
                Judge::new(Operation::ChatCompletions, PROVIDER_KEY, "m", Body::recorded_bytes(request))
                    .secret(CLIENT_KEY);
            endpoint.judge(CHAT, judge.clone());
            endpoint.route(CHAT, fixtures::named("chat").answer(&Cut::Whole));
            let overrides = json!({"options": {"body_overrides_json": {field: json}}});
            gateway.add_provider(&name, &endpoint.base_url(), overrides).await;

            let body = Bytes::from(with_model(request, &format!("{name}/m")));
            let send = || gateway.client.send(Method::POST, "/v1/chat/completions", &[], body.clone());
            let answer = send().await;
            assert_eq!(answer.status, 400, "{channel:?} {field}: {}", answer.text());
            let complaints = endpoint.complaints().join("; ");
            assert!(complaints.contains(field), "{channel:?} {field}: {complaints}");

            // The same body is right where the override is owed.
            endpoint.judge(CHAT, judge.expects(field, json));
            assert_eq!(send().await.status, 200, "{channel:?} {field}");
        }
        gateway.stop().await;
    }
}
