//! Gemini's paths: its clients at its own provider and at others', and other clients at Gemini.

mod foreign;
mod recordings;

use bytes::Bytes;
use http::Method;
use orchestrator_testkit::{
    fixtures,
    judge::{Body, Judge, Operation},
    provider::{Answer as Scripted, Cut, Endpoint, Provider},
};
use serde_json::{Value, json};

use crate::{
    client::Answer,
    gateway::{CHANNELS, CLIENT_KEY, Channel, Gateway, PROVIDER_KEY},
};

/// Where a client of Gemini's asks the model `m`.
const WHOLE: &str = "/v1beta/models/m:generateContent";
const EVENTS: &str = "/v1beta/models/m:streamGenerateContent?alt=sse";
const ARRAY: &str = "/v1beta/models/m:streamGenerateContent";

const ASK: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Say hello."}]}]}"#;

/// A gateway whose model `m` two providers of kind `gemini` serve, the first of them preferred.
struct Stage {
    gateway: Gateway,
    first: Endpoint,
    second: Endpoint,
    _provider: Provider,
}

impl Stage {
    async fn start(channel: Channel) -> Self {
        Self::start_with(Gateway::start(channel).await).await
    }

    async fn start_with(gateway: Gateway) -> Self {
        let provider = Provider::start().await;
        let (first, second) = (provider.named("first"), provider.named("second"));
        let second_id = add_gemini(&gateway, "second", &second, 100).await;
        let first_id = add_gemini(&gateway, "first", &first, 200).await;
        gateway.add_model("m", "gemini-2.5-flash", &[&first_id, &second_id]).await;
        Self { gateway, first, second, _provider: provider }
    }

    async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.gateway.client.send(Method::POST, path, &[], body.into()).await
    }

    fn both_answer(&self, answer: &Scripted) {
        self.first.route("", answer.clone());
        self.second.route("", answer.clone());
    }
}

/// Makes a provider of kind `gemini` and gives its id.
async fn add_gemini(gateway: &Gateway, name: &str, endpoint: &Endpoint, priority: u32) -> String {
    let base_url = endpoint.base_url();
    let base_url = base_url.strip_suffix("/v1").unwrap();
    let more = json!({"kind": "gemini", "max_retries": 0, "priority": priority});
    gateway.add_provider(name, base_url, more).await
}

fn answer_of(fixture: &str) -> Scripted {
    fixtures::named(fixture).answer(&Cut::Whole)
}

/// An error in Google's envelope; gives its status word and its message.
#[track_caller]
fn google_error(answer: &Answer) -> (String, String) {
    let error = &answer.json()["error"];
    assert_eq!(error["code"], answer.status, "{}", answer.text());
    let text = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    (text("status"), text("message"))
}

#[tokio::test]
async fn a_key_is_taken_from_each_of_its_places_and_goes_nowhere() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        stage.first.route("", answer_of("gemini_chat"));
        let judge = Judge::new(
            Operation::GenerateContent,
            PROVIDER_KEY,
            "gemini-2.5-flash",
            Body::recorded_bytes(ASK),
        );
        stage.first.judge("", judge.secret(CLIENT_KEY));
        let bare = stage.gateway.client.with_key(None);
        let with_key = format!("{WHOLE}?key={CLIENT_KEY}");
        let own = ("x-goog-api-key", CLIENT_KEY);
        let project = ("x-goog-user-project", "p-1");
        for (path, headers) in
            [(WHOLE, vec![own, project]), (with_key.as_str(), vec![]), (&with_key, vec![own])]
        {
            let answer = bare.send(Method::POST, path, &headers, Bytes::from(ASK)).await;
            assert_eq!(answer.status, 200, "{channel:?} {path}: {}", answer.text());
        }
        assert_eq!(stage.post(WHOLE, ASK).await.status, 200, "a bearer");
        assert_eq!(stage.first.complaints(), Vec::<String>::new());
        assert_eq!(stage.first.seen()[0].header("x-goog-user-project"), Some("p-1"));
        assert_eq!(stage.first.seen()[1].header("x-goog-user-project"), None);

        for (path, headers) in [
            (WHOLE, vec![]),
            (WHOLE, vec![("x-goog-api-key", "wrong")]),
            (&*with_key, vec![("x-goog-api-key", "wrong")]),
        ] {
            let answer = bare.send(Method::POST, path, &headers, Bytes::from(ASK)).await;
            assert_eq!(answer.status, 401, "{channel:?}: {}", answer.text());
            assert_eq!(google_error(&answer).0, "UNAUTHENTICATED");
        }
        assert_eq!(stage.first.seen().len(), 4);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn every_spelling_of_the_path_is_the_same_model() {
    let stage = Stage::start(Channel::Embedded).await;
    stage.gateway.add_model("a/b:c", "gemini-2.5-flash", &[]).await;
    stage.first.route("", answer_of("gemini_chat"));
    for path in [
        WHOLE,
        "/v1/models/m:generateContent",
        "/gemini/v1beta/models/m:generateContent",
        "/v1beta/models/first/gemini-2.5-flash:generateContent",
        "/v1beta/models/first%2Fgemini-2.5-flash:generateContent",
        "/v1beta/first/gemini-2.5-flash:generateContent",
    ] {
        let answer = stage.post(path, ASK).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    // The verb follows the last colon.
    let answer = stage.post("/v1beta/models/a/b:c:generateContent", ASK).await;
    assert!(google_error(&answer).1.contains("a/b:c"), "{}", answer.text());
    for path in
        ["/v1beta/models/m:tomorrow", "/v1beta/models/m", "/v1beta/models/:generateContent", "/v1beta/x"]
    {
        let answer = stage.post(path, ASK).await;
        assert_eq!((answer.status, google_error(&answer).0.as_str()), (404, "NOT_FOUND"), "{path}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_in_googles_envelope_before_anybody_is_asked() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        for (body, named) in [
            ("{}", "contents"),
            ("[", "JSON"),
            (r#"{"contents":7}"#, "contents"),
            (r#"{"contents":[],"tools":1}"#, "tools"),
        ] {
            let answer = stage.post(WHOLE, body).await;
            let (status, message) = google_error(&answer);
            assert_eq!((answer.status, status.as_str()), (400, "INVALID_ARGUMENT"), "{channel:?} {body}");
            assert!(message.contains(named), "{message}");
        }
        let unknown = stage.post("/v1beta/models/nobody:streamGenerateContent?alt=sse", ASK).await;
        assert_eq!((unknown.status, google_error(&unknown).0.as_str()), (404, "NOT_FOUND"));
        assert_eq!(stage.first.seen().len() + stage.second.seen().len(), 0);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_provider_that_fails_or_refuses_our_key_is_followed_by_the_next() {
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        for failure in ["error_503_gemini", "error_429_gemini", "error_400_gemini_key"] {
            stage.first.route("", answer_of(failure));
            for (path, fixture) in [(WHOLE, "gemini_chat"), (EVENTS, "gemini_stream")] {
                stage.second.route("", answer_of(fixture));
                stage.gateway.forgive().await;
                let answer = stage.post(path, ASK).await;
                assert_eq!(answer.status, 200, "{failure} {path}: {}", answer.text());
                assert_eq!(answer.body, fixtures::named(fixture).body, "{failure}");
                assert_eq!(answer.header("x-orchestrator-attempts"), "2");
            }
            stage.both_answer(&answer_of(failure));
            stage.gateway.forgive().await;
            let answer = stage.post(WHOLE, ASK).await;
            let said = fixtures::named(failure);
            assert_eq!((answer.status, &answer.body), (said.status, &said.body), "as the provider said it");
        }
        // A wrong request is wrong everywhere.
        stage.both_answer(&answer_of("error_400_gemini"));
        let answer = stage.post(WHOLE, ASK).await;
        assert_eq!(answer.header("x-orchestrator-attempts"), "1");
        assert_eq!(answer.body, fixtures::named("error_400_gemini").body);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_that_breaks_tells_so_in_its_own_framing_and_never_ends_well() {
    let stream = fixtures::named("gemini_stream").body;
    let first_two = stream.windows(4).enumerate().filter(|(_, it)| it == b"\r\n\r\n").nth(1).unwrap().0 + 4;
    for channel in CHANNELS {
        let stage = Stage::start(channel).await;
        for cut in [first_two, first_two + 30] {
            stage.both_answer(&answer_of("gemini_stream").fin_after(cut));
            let events = stage.post(EVENTS, ASK).await.text();
            let (passed, rest) = events.split_at(first_two);
            assert_eq!(passed.as_bytes(), &stream[..first_two], "{channel:?}");
            assert!(
                rest.starts_with("data: {\"error\":{\"code\":502,") && rest.ends_with("}\r\n\r\n"),
                "{rest}"
            );
            assert_eq!(rest.matches("data: ").count(), 1, "{rest}");

            let array = stage.post(ARRAY, ASK).await;
            assert_eq!(array.header("content-type"), "application/json");
            let array = array.json();
            let elements = array.as_array().unwrap();
            assert_eq!(elements.len(), 3, "{array}");
            assert_eq!(elements[2]["error"]["status"], "UNAVAILABLE", "{array}");
            assert!(!array.to_string().contains("finishReason"), "{array}");
        }
        // What the provider itself says goes wrong passes as it is.
        stage.both_answer(&answer_of("gemini_stream_error_midway"));
        assert_eq!(stage.post(EVENTS, ASK).await.body, fixtures::named("gemini_stream_error_midway").body);
        assert_eq!(stage.post(ARRAY, ASK).await.json()[1]["error"]["code"], 503);
        stage.gateway.stop().await;
    }
}

#[tokio::test]
async fn a_silent_stream_is_kept_open_by_white_space_in_an_array_and_by_nothing_among_events() {
    let gateway = Gateway::start_with(Channel::Embedded, |config| {
        config.stream.early_head_ms = 50;
        config.stream.idle_bytes_ms = 50;
    })
    .await;
    let stage = Stage::start_with(gateway).await;
    stage.first.route("", answer_of("gemini_stream").after(std::time::Duration::from_millis(400)));
    assert_eq!(stage.post(EVENTS, ASK).await.body, fixtures::named("gemini_stream").body);
    let array = stage.post(ARRAY, ASK).await;
    assert!(array.body.starts_with(b"\n"), "{}", array.text());
    assert_eq!(array.json().as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn the_list_of_models_has_the_shape_that_the_caller_knows() {
    let stage = Stage::start(Channel::Embedded).await;
    let client = stage.gateway.client.with_key(None);
    let google = [("x-goog-api-key", CLIENT_KEY)];
    for path in ["/v1beta/models", "/gemini/v1beta/models", "/v1/models"] {
        let list = client.send(Method::GET, path, &google, Bytes::new()).await.json();
        let names: Vec<&str> =
            list["models"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
        assert!(names.contains(&"models/m"), "{path}: {list}");
        let one = client.send(Method::GET, &format!("{path}/m"), &google, Bytes::new()).await.json();
        assert_eq!(one["name"], "models/m", "{path}: {one}");
    }
    let by_query = client.get(&format!("/v1beta/models?key={CLIENT_KEY}")).await;
    assert_eq!(by_query.status, 200, "{}", by_query.text());
    let missing = client.send(Method::GET, "/v1beta/models/nobody", &google, Bytes::new()).await;
    assert_eq!((missing.status, google_error(&missing).0.as_str()), (404, "NOT_FOUND"));
    let openai: Value = stage.gateway.client.get("/v1/models").await.json();
    assert_eq!(openai["object"], "list");
}
