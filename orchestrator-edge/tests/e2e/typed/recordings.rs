//! Every recorded and every fixture chat answer, on the typed plane.

use orchestrator_proto::v1;
use orchestrator_testkit::{
    judge::Operation,
    provider::{Cut, Script},
    recorded::{self, Recording, usage_of},
};
use tonic::Code;

use super::{Client, Event, House, asking, collect, keyed, naive, said, ways};

/// Those that were answered with 200.
fn answered() -> Vec<Recording> {
    let mut all = recorded::everything();
    all.retain(|recording| {
        recording.operation() == Some(Operation::ChatCompletions) && recording.status == 200
    });
    all
}

#[tokio::test]
async fn every_recorded_answer_means_the_same_in_the_hubs_words() {
    let house = House::start().await;
    let recordings = answered();
    let answers = recordings.clone();
    // The model's name is the recording's number.
    let by_number = Script::choose(move |_, seen| {
        let number: usize = seen.json()["model"].as_str().unwrap().parse().unwrap();
        answers[number].answer(&Cut::Seeded(number as u64))
    });
    house.provider.route("chat/completions", by_number);
    for (way, client) in ways(&house.gateway) {
        for (number, recording) in recordings.iter().enumerate() {
            check(client.clone(), number, recording, &format!("{} ({way})", recording.file)).await;
        }
    }
    house.gateway.stop().await;
}

async fn check(mut client: Client, number: usize, recording: &Recording, file: &str) {
    let request = keyed(asking(&format!("upstream/{number}")));
    let expected = naive::read(recording);
    let (choices, reasons, usage) = if recording.is_event_stream() {
        let (events, failure) = collect(client.stream_chat(request).await).await;
        assert_eq!(failure.is_some(), expected.fails, "{file}: {failure:?}");
        if expected.fails && events.is_empty() {
            // The error came together with the first words, and an answer is not begun only to fail.
            return;
        }
        (said::streamed(&events), stream_reasons(&events), finished(&events))
    } else {
        match client.chat(request).await {
            Err(status) => {
                assert!(expected.fails, "{file}: {status}");
                assert_eq!(status.code(), Code::Unavailable, "{file}");
                return;
            }
            Ok(answer) => {
                assert!(!expected.fails, "{file}");
                let answer = answer.into_inner();
                let reasons = answer.choices.iter().map(v1::Choice::finish_reason).collect();
                (said::whole(&answer), reasons, answer.usage)
            }
        }
    };
    same_choices(&choices, &expected.choices, file);
    assert_eq!(usage.is_some(), !expected.fails, "{file}");
    if let Some(usage) = usage {
        same_usage(usage, recording, file);
        let said_why = expected.choices.values().filter(|said| !said.finish.is_empty()).count();
        assert_eq!(reasons.len(), said_why, "{file}");
        assert!(!reasons.contains(&v1::FinishReason::Unspecified), "{file}: {reasons:?}");
    }
}

fn stream_reasons(events: &[Event]) -> Vec<v1::FinishReason> {
    let reason = |event: &Event| match event {
        Event::ChoiceFinished(end) => Some(end.reason()),
        _ => None,
    };
    events.iter().filter_map(reason).collect()
}

/// The usage that `finished` says, which is the last event or none.
fn finished(events: &[Event]) -> Option<v1::Usage> {
    let at = events.iter().position(|event| matches!(event, Event::Finished(_)))?;
    assert_eq!(at + 1, events.len(), "nothing follows the end");
    let Event::Finished(end) = &events[at] else { return None };
    Some(end.usage.expect("the end says what was used"))
}

fn same_choices(found: &said::Choices, expected: &said::Choices, file: &str) {
    for (index, expected) in expected {
        let nothing = said::Said::default();
        let found = found.get(index).unwrap_or(&nothing);
        assert_eq!(found.text, expected.text, "{file}");
        assert_eq!(found.reasoning, expected.reasoning, "{file}");
        assert_eq!(found.refusal, expected.refusal, "{file}");
        assert_eq!(found.finish, expected.finish, "{file}");
        let calls = |said: &said::Said| -> Vec<_> {
            said.calls.iter().map(|call| (call.id.clone(), call.name.clone(), call.meaning())).collect()
        };
        assert_eq!(calls(found), calls(expected), "{file}");
    }
    assert!(found.keys().all(|index| expected.contains_key(index)), "{file}: {found:?}");
}

/// What the provider stated, and our own estimate where it stated nothing.
fn same_usage(found: v1::Usage, recording: &Recording, file: &str) {
    let Some(stated) = usage_of(recording) else {
        assert_eq!(found.source(), v1::UsageSource::Estimated, "{file}");
        assert!(found.prompt_tokens > 0, "{file}");
        return;
    };
    assert_eq!(found.source(), v1::UsageSource::Provider, "{file}");
    assert_eq!(found.prompt_tokens, stated.prompt.unwrap_or_default(), "{file}");
    assert_eq!(found.completion_tokens, stated.completion.unwrap_or_default(), "{file}");
    assert_eq!(found.cached_read_tokens, stated.cached.unwrap_or_default(), "{file}");
    assert_eq!(found.reasoning_tokens, stated.reasoning.unwrap_or_default(), "{file}");
}
