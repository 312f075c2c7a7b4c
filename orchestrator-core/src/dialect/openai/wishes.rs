//! The gateway's own fields of a body, beside OpenAI's.

use std::time::Duration;

use crate::{
    call::Wishes,
    dialect::{
        json::must_be,
        scan::{self, Object},
    },
    error::Result,
};

const PROVIDER: &str = "provider";
const FALLBACKS: &str = "fallback_providers";
const TIMEOUT: &str = "timeout";
const RETRIES: &str = "retry_count";

/// As many names as may be given.
const MOST_FALLBACKS: usize = 16;
/// A day: no answer takes longer.
const LONGEST_SECONDS: f64 = 86_400.0;
/// What a model's `max_retry` may be at most.
const MOST_RETRIES: u32 = 10;

/// Reads them, if there are any. `provider` is the gateway's when it is a string; an object is OpenRouter's, and passes.
pub(crate) fn wishes(object: &Object<'_>) -> Result<Option<Box<Wishes>>> {
    let mut found: Option<Box<Wishes>> = None;
    for member in object.members() {
        let name = match object.key(member) {
            b"provider" => PROVIDER,
            b"fallback_providers" => FALLBACKS,
            b"timeout" => TIMEOUT,
            b"retry_count" => RETRIES,
            _ => continue,
        };
        // Of a repeated key the last one counts, which is the one that is read here.
        let json = object.get_non_null(name);
        if name == PROVIDER && json.is_some_and(|json| json.starts_with(b"{")) {
            continue;
        }
        let wishes = found.get_or_insert_default();
        if wishes.fields.contains(&name) {
            continue;
        }
        wishes.fields.push(name);
        if let Some(json) = json {
            read(wishes, name, json)?;
        }
    }
    Ok(found)
}

fn read(wishes: &mut Wishes, name: &'static str, json: &[u8]) -> Result<()> {
    match name {
        PROVIDER => {
            let provider = scan::string(json).filter(|name| !name.is_empty());
            let provider = provider.ok_or_else(|| must_be(name, "the name of a provider"))?;
            wishes.provider = Some(provider.into_owned());
        }
        FALLBACKS => {
            let names = serde_json::from_slice::<Vec<String>>(json).ok();
            let names = names.filter(|names| names.iter().all(|name| !name.is_empty()));
            wishes.fallbacks = names
                .filter(|names| names.len() <= MOST_FALLBACKS)
                .ok_or_else(|| must_be(name, "an array of at most 16 names of providers"))?;
        }
        TIMEOUT => {
            let seconds = serde_json::from_slice::<f64>(json).ok();
            let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST_SECONDS);
            let seconds =
                seconds.ok_or_else(|| must_be(name, "a number of seconds, above 0 and at most 86400"))?;
            wishes.timeout = Some(Duration::from_secs_f64(seconds));
        }
        _ => {
            let retries = serde_json::from_slice::<u32>(json).ok().filter(|retries| *retries <= MOST_RETRIES);
            let retries = retries.ok_or_else(|| must_be(name, "a whole number from 0 to 10"))?;
            wishes.max_attempts = Some(retries + 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(body: &str) -> Result<Option<Box<Wishes>>> {
        wishes(&Object::scan(body.as_bytes(), 128).unwrap())
    }

    #[test]
    fn the_gateways_fields_are_read_and_openrouters_is_not_among_them() {
        let body = r#"{"provider":"a","prov\u0069der":"b","fallback_providers":["c","d"],"timeout":1.5,"retry_count":0}"#;
        let expected = Wishes {
            provider: Some("b".into()),
            fallbacks: vec!["c".into(), "d".into()],
            timeout: Some(Duration::from_millis(1500)),
            max_attempts: Some(1),
            fields: vec![PROVIDER, FALLBACKS, TIMEOUT, RETRIES],
        };
        assert_eq!(read_of(body).unwrap().as_deref(), Some(&expected));
        let null = read_of(r#"{"timeout":null}"#).unwrap().unwrap();
        assert_eq!(*null, Wishes { fields: vec![TIMEOUT], ..Wishes::default() });
        assert_eq!(read_of(r#"{"provider":{"order":["x"]},"model":"m"}"#).unwrap(), None);
    }

    #[test]
    fn wrong_ones_are_refused_by_name() {
        for (name, values) in [
            (PROVIDER, &["7", "\"\"", "[\"a\"]", "true"] as &[&str]),
            (FALLBACKS, &["\"a\"", "[1]", "[\"\"]", "{}"]),
            (TIMEOUT, &["0", "-1", "\"30\"", "1e300", "86401"]),
            (RETRIES, &["-1", "11", "1.5", "\"2\""]),
        ] {
            for value in values {
                let error = read_of(&format!(r#"{{"{name}":{value}}}"#)).unwrap_err();
                assert_eq!(error.param.as_deref(), Some(name), "{value}");
            }
        }
    }
}
