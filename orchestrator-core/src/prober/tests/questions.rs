//! What whom is asked.

use super::*;
use crate::{
    catalog::{ModelProvider, ProviderOptions, snapshot::Catalog},
    prober::question::question,
};

/// The question for a provider with these fields that serves `m-upstream`, if it serves anything.
fn asked(provider: Provider, serves: bool, forced: bool) -> String {
    let mut rows = CatalogRows { providers: vec![provider], ..CatalogRows::default() };
    if serves {
        rows.models = vec![samples::model("m1", "m"), samples::model("m0", "claude-*")];
        let association = |id: &str, model: &str| samples::model_provider(id, model, "p0");
        let named = ModelProvider { provider_model: "m-upstream".into(), ..association("a1", "m1") };
        // What a pattern's name stands for is known only when it is asked.
        rows.model_providers = vec![association("a2", "m0"), named];
    }
    let unseal = |_: &_| Err(Error::internal("there are no keys"));
    let catalog = Catalog::build(&rows, &unseal, &config::Timeouts::default());
    let target = catalog.enabled_providers().next().unwrap().clone();
    match question(&catalog, &target, forced) {
        None => "nothing".to_owned(),
        Some(Question::Chat(target)) => format!("chat {}", target.upstream_model),
        Some(Question::Embed(target)) => format!("embed {}", target.upstream_model),
        Some(Question::Models(_)) => "models".to_owned(),
    }
}

fn with(options: ProviderOptions) -> Provider {
    Provider { options, ..provider(0) }
}

fn probe(word: &str) -> Provider {
    with(ProviderOptions { probe: Some(word.into()), ..ProviderOptions::default() })
}

#[test]
fn a_model_that_is_served_is_asked_for_an_answer_and_else_the_list_of_models() {
    assert_eq!(asked(provider(0), true, false), "chat m-upstream");
    assert_eq!(asked(provider(0), false, false), "models");
    let embeds = ProviderOptions { dialects: vec!["openai_embeddings".into()], ..ProviderOptions::default() };
    assert_eq!(asked(with(embeds), true, false), "embed m-upstream");
}

#[test]
fn options_decide_and_a_local_server_is_not_made_to_load_a_model() {
    assert_eq!(asked(probe("models"), true, false), "models");
    assert_eq!(asked(probe("off"), true, false), "nothing");
    assert_eq!(asked(probe("off"), true, true), "chat m-upstream", "somebody wants to know");
    for preset in ["ollama", "vllm", "llamacpp"] {
        let local = ProviderOptions { preset: Some(preset.into()), ..ProviderOptions::default() };
        assert_eq!(asked(with(local.clone()), true, false), "models");
        let told = ProviderOptions { probe: Some("chat".into()), ..local };
        assert_eq!(asked(with(told), true, false), "chat m-upstream");
    }
}

#[test]
fn echo_lists_no_models_and_answers_for_nothing() {
    let echo = || Provider { kind: "echo".into(), base_url: String::new(), ..provider(0) };
    assert_eq!(asked(echo(), true, false), "chat m-upstream");
    assert_eq!(asked(echo(), false, false), "nothing");
}
