//! What is logged: a level for everything, or levels by target.
//!
//! Libraries are quieter than the program: their information is of use to those who debug them, and noise to everybody else. Nor is
//! one of them ever heard at level trace, where HTTP's and TLS's write down what passes, keys and bodies included.

use std::fmt;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::traces;

/// What every target of this program begins with.
const OURS: &str = "orchestrator";
/// The longest text that is taken.
const MOST_BYTES: usize = 512;
/// The most targets of one text.
const MOST_TARGETS: usize = 32;

/// What is to be logged. As text: `info`, or `info,orchestrator_core::attempt=debug,h2=off`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    level: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
}

impl Filter {
    /// Reads a level, or a list of levels by target: `LEVEL`, `TARGET=LEVEL`, comma-separated. Without a level for everything it is
    /// `info`.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MOST_BYTES {
            return Err(format!("is longer than {MOST_BYTES} bytes"));
        }
        let mut filter = Self { level: LevelFilter::INFO, targets: Vec::new() };
        let mut leveled = false;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((target, name)) => {
                    filter.targets.push((checked(target.trim())?, level(name)?));
                }
                None if leveled => return Err("has two levels for everything".to_owned()),
                None => {
                    filter.level = level(part)?;
                    leveled = true;
                }
            }
        }
        if !leveled && filter.targets.is_empty() {
            return Err("is empty: a level, or levels by target, is wanted".to_owned());
        }
        if filter.targets.len() > MOST_TARGETS {
            return Err(format!("names more than {MOST_TARGETS} targets"));
        }
        Ok(filter)
    }

    /// What the configuration says. Its check lets no unknown name through; for a section made by hand one means `info`.
    pub(super) fn configured(name: &str, debug: bool) -> Self {
        let level = if debug { LevelFilter::DEBUG } else { level(name).unwrap_or(LevelFilter::INFO) };
        Self { level, targets: Vec::new() }
    }

    pub(super) fn targets(&self) -> Targets {
        let libraries = if self.level >= LevelFilter::DEBUG {
            LevelFilter::DEBUG
        } else {
            self.level.min(LevelFilter::WARN)
        };
        let mut targets = Targets::new().with_default(libraries).with_target(OURS, self.level);
        for (target, level) in &self.targets {
            let ours = target.starts_with(OURS);
            let level = if ours { *level } else { (*level).min(LevelFilter::DEBUG) };
            targets = targets.with_target(target.clone(), level);
        }
        // Spans that are exported are no part of the log: it has its own.
        targets.with_target(traces::TARGET, LevelFilter::OFF)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        self.targets.iter().try_for_each(|(target, level)| write!(f, ",{target}={level}"))
    }
}

/// The level of this name, in any case; what Python's and syslog's are called is understood.
fn level(name: &str) -> Result<LevelFilter, String> {
    match name.trim().to_ascii_lowercase().as_str() {
        "critical" | "fatal" | "error" => Ok(LevelFilter::ERROR),
        "warning" | "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        "off" => Ok(LevelFilter::OFF),
        _ => Err("has a level that is not one of error, warn, info, debug, trace, off".to_owned()),
    }
}

fn checked(target: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
    if target.is_empty() || !target.chars().all(plain) {
        return Err("has a target that is not made of letters, digits and _ : - .".to_owned());
    }
    Ok(target.to_owned())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn targets(text: &str) -> Targets {
        Filter::parse(text).unwrap().targets()
    }

    #[test]
    fn libraries_are_quiet_until_someone_debugs_and_never_say_what_passes() {
        let quiet = Filter::configured("INFO", false).targets();
        assert!(quiet.would_enable("orchestrator_core", &Level::INFO));
        assert!(!quiet.would_enable("h2::client", &Level::INFO));
        assert!(quiet.would_enable("h2::client", &Level::WARN));

        let debugging = Filter::configured("error", true).targets();
        assert!(debugging.would_enable("h2::client", &Level::DEBUG));

        for tracing in [targets("trace"), targets("info,h2=trace")] {
            assert!(!tracing.would_enable("h2::client", &Level::TRACE));
        }
        assert!(targets("trace").would_enable("orchestrator_core", &Level::TRACE));
        let silent = Filter::configured("Off", false).targets();
        assert!(!silent.would_enable("h2::client", &Level::ERROR));
    }

    #[test]
    fn a_target_can_have_a_level_of_its_own() {
        let some = targets("warn, orchestrator_core::attempt=debug, orchestrator::request=off");
        assert!(some.would_enable("orchestrator_core::attempt::one", &Level::DEBUG));
        assert!(!some.would_enable("orchestrator_core::routing", &Level::INFO));
        assert!(!some.would_enable("orchestrator::request", &Level::ERROR));
        assert_eq!(Filter::parse("Warning,h2=off").unwrap().to_string(), "warn,h2=off");
        assert_eq!(Filter::parse("h2=debug").unwrap().to_string(), "info,h2=debug");
    }

    #[test]
    fn what_is_no_filter_is_refused_and_says_why() {
        let many = vec!["a=info"; 33].join(",");
        let long = "x".repeat(513);
        for (text, why) in [
            ("", "is empty"),
            ("loud", "has a level that is not one of"),
            ("info,debug", "has two levels for everything"),
            ("a b=info", "has a target that is not made of"),
            ("[span]=info", "has a target that is not made of"),
            (&many, "names more than 32 targets"),
            (&long, "is longer than 512 bytes"),
        ] {
            let refused = Filter::parse(text).unwrap_err();
            assert!(refused.starts_with(why), "{text}: {refused}");
        }
    }
}
