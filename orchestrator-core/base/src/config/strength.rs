//! Which keys are too weak for production. A rule of thumb against keys that people type, not a measure of entropy.

/// `init --env` writes keys of about twice that.
const LEAST_CHARACTERS: usize = 24;
const LEAST_DISTINCT: usize = 8;

/// What people put where a key should stand.
const COMMON_WORDS: &[&str] = &[
    "orchestrator",
    "development",
    "production",
    "changeme",
    "password",
    "example",
    "default",
    "change",
    "letmein",
    "master",
    "secret",
    "qwerty",
    "123456",
    "admin",
    "token",
    "llm",
    "test",
    "key",
];

/// Why `key` is too weak, or nothing. The reason quotes no part of it.
pub fn weakness(key: &str) -> Option<String> {
    let characters = key.chars().count();
    if characters < LEAST_CHARACTERS {
        return Some(format!("is weak: shorter than {LEAST_CHARACTERS} characters"));
    }
    let mut distinct: Vec<char> = key.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < LEAST_DISTINCT {
        return Some(format!("is weak: fewer than {LEAST_DISTINCT} distinct characters"));
    }
    let mut rest = key.to_lowercase();
    for word in COMMON_WORDS {
        rest = rest.replace(word, "");
    }
    if rest.chars().count() * 2 < characters {
        return Some("is weak: made of well-known words".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_keys_are_weak_and_random_ones_are_not() {
        let cases = [
            ("short", Some("is weak: shorter than 24 characters")),
            ("abcabcabcabcabcabcabcabcabc", Some("is weak: fewer than 8 distinct characters")),
            ("admin-password-changeme-123456", Some("is weak: made of well-known words")),
            ("TestTestTestSecretSecretAdmin!", Some("is weak: made of well-known words")),
            ("kVq3-9dLx0-ZuT7w-Pb2mR8sNc", None),
            ("admin-kVq39dLx0ZuT7wPb2mR8sNc", None),
        ];
        for (key, expected) in cases {
            assert_eq!(weakness(key).as_deref(), expected, "{key}");
        }
    }
}
