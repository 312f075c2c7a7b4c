//! What a provider is asked, to see whether it is well. Pure.

use crate::{
    catalog::{route::Target, snapshot::Catalog},
    dialect::Operation,
    provider, routing,
};

/// Servers on one's own machine: a question for an answer may load a model into memory, or throw another one out.
const LOCAL_PRESETS: [&str; 3] = ["ollama", "vllm", "llamacpp"];

/// See the module.
#[derive(Clone, Debug)]
pub enum Question {
    /// A one-token answer of this target's model.
    Chat(Box<Target>),
    /// One embedding by this target's model.
    Embed(Box<Target>),
    /// Which models it has: no model of it is known, or its options say so.
    Models(Box<Target>),
}

/// The question for a provider; `None`: there is none. `forced`: somebody wants to know, whatever its options say.
pub(super) fn question(catalog: &Catalog, provider: &Target, forced: bool) -> Option<Question> {
    let local = provider.preset.as_deref().is_some_and(|preset| LOCAL_PRESETS.contains(&preset));
    let fitting = if local { "models" } else { "chat" };
    let models = || {
        let lists = provider::kind(&provider.kind).is_some_and(|kind| kind.models_path().is_some());
        lists.then(|| Question::Models(Box::new(provider.clone())))
    };
    match provider.probe.as_deref().unwrap_or(fitting) {
        "off" if !forced => None,
        "models" => models().or_else(|| answer(catalog, provider)),
        _ => answer(catalog, provider).or_else(models),
    }
}

/// A question for an answer of a model that the provider really serves.
fn answer(catalog: &Catalog, provider: &Target) -> Option<Question> {
    let target = Box::new(catalog.served_by(&provider.provider_id)?.clone());
    if routing::dialect_for(&target, Operation::Chat, None).is_some() {
        Some(Question::Chat(target))
    } else if routing::dialect_for(&target, Operation::Embeddings, None).is_some() {
        Some(Question::Embed(target))
    } else {
        None
    }
}
