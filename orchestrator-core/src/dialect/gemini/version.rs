//! What depends on a model's generation, of which its name is all that is known.

/// How a model wants to be told how much to think: <https://ai.google.dev/gemini-api/docs/thinking>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    /// `thinkingBudget`, in tokens. All that are not known to be later: the later ones take it too.
    Budgets,
    /// `thinkingLevel`; signatures are demanded back, and results of functions may hold pictures.
    Levels,
}

/// The generation of the model of that name at the provider.
pub(super) fn generation(model: &str) -> Generation {
    let Some((_, version)) = model.split_once("gemini-") else { return Generation::Budgets };
    let digits = version.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
    match digits.parse::<u32>() {
        Ok(number) if number >= 3 => Generation::Levels,
        _ => Generation::Budgets,
    }
}

/// The level for an effort. None of these models can be told not to think at all, and the Pro models know fewer levels.
pub(super) fn level(effort: &str, model: &str) -> Option<&'static str> {
    let pro = model.contains("-pro");
    Some(match effort {
        "none" | "minimal" if pro => "LOW",
        "none" | "minimal" => "MINIMAL",
        "low" => "LOW",
        "medium" if model.contains("gemini-3-pro") => "HIGH",
        "medium" => "MEDIUM",
        "high" | "xhigh" | "max" => "HIGH",
        _ => return None,
    })
}

/// The budget for an effort, as Google's own endpoint for clients of OpenAI has it
/// (<https://ai.google.dev/gemini-api/docs/openai#thinking>).
pub(super) fn budget(effort: &str) -> Option<u32> {
    Some(match effort {
        "none" => 0,
        "minimal" | "low" => 1024,
        "medium" => 8192,
        "high" | "xhigh" | "max" => 24_576,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_generation() {
        for model in ["gemini-2.5-pro", "gemini-flash-latest", "my-tuned-model", "", "models/gemini-1.5-pro"]
        {
            assert_eq!(generation(model), Generation::Budgets, "{model}");
        }
        for model in ["gemini-3-pro-preview", "models/gemini-3.5-flash", "gemini-10", "google/gemini-3-flash"]
        {
            assert_eq!(generation(model), Generation::Levels, "{model}");
        }
    }

    #[test]
    fn an_effort_becomes_what_the_model_knows() {
        assert_eq!(level("none", "gemini-3.5-flash"), Some("MINIMAL"));
        assert_eq!(level("medium", "gemini-3-pro-preview"), Some("HIGH"));
        assert_eq!(level("medium", "gemini-3.1-pro-preview"), Some("MEDIUM"));
        assert_eq!((level("extreme", "gemini-3"), budget("extreme")), (None, None));
        assert_eq!((budget("none"), budget("max")), (Some(0), Some(24_576)));
    }
}
