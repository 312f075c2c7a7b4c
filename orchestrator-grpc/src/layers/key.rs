//! Collects the keys that a caller presents. Whether one of them is good, and what it may do, is for the core to say.

use http::{HeaderMap, HeaderValue, Request, header::AUTHORIZATION};
use secrecy::SecretString;
use tonic::body::Body;

/// Metadata that holds nothing but a key.
const BARE: [&str; 2] = ["x-api-key", "x-goog-api-key"];

/// Every key of a call, in whatever place it stood. Two that differ are refused by the core, not silently ranked here.
#[derive(Clone, Debug, Default)]
pub struct Keys(pub Vec<SecretString>);

/// Puts the request's [`Keys`] into its extensions and hides them from `Debug`.
pub fn collect(mut request: Request<Body>) -> Request<Body> {
    let keys = Keys(presented(request.headers()));
    hide(request.headers_mut());
    request.extensions_mut().insert(keys);
    request
}

fn presented(headers: &HeaderMap) -> Vec<SecretString> {
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(bearer_token);
    let bare = BARE.iter().flat_map(|name| headers.get_all(*name)).filter_map(|value| value.to_str().ok());
    bearer.chain(bare).map(str::trim).filter(|key| !key.is_empty()).map(SecretString::from).collect()
}

/// The token of `Bearer TOKEN`; a scheme's name has no case (RFC 9110, section 11.1).
fn bearer_token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn hide(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if name == AUTHORIZATION || BARE.contains(&name.as_str()) {
            value.set_sensitive(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn keys_of(headers: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut request = Request::new(Body::empty());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        let request = collect(request);
        assert!(!format!("{request:?}").contains("sk-"), "a key shows in {request:?}");
        let Keys(keys) = request.extensions().get().unwrap();
        keys.iter().map(|key| key.expose_secret().to_owned()).collect()
    }

    #[test]
    fn a_key_is_found_in_each_of_its_places() {
        assert_eq!(keys_of(&[("authorization", "Bearer sk-1")]), ["sk-1"]);
        assert_eq!(keys_of(&[("authorization", "bearer  sk-1 ")]), ["sk-1"]);
        assert_eq!(keys_of(&[("x-api-key", "sk-2")]), ["sk-2"]);
        assert_eq!(keys_of(&[("x-goog-api-key", "sk-3")]), ["sk-3"]);
    }

    #[test]
    fn all_keys_are_kept_so_that_the_core_can_refuse_two_that_differ() {
        let sent =
            [("x-api-key", "sk-2"), ("authorization", "Bearer sk-1"), ("authorization", "Bearer sk-4")];
        assert_eq!(keys_of(&sent), ["sk-1", "sk-4", "sk-2"]);
    }

    #[test]
    fn what_is_not_a_key_is_not_taken_for_one() {
        assert!(keys_of(&[]).is_empty());
        assert!(
            keys_of(&[("authorization", "Basic dTpw"), ("authorization", "Bearer "), ("x-api-key", "")])
                .is_empty()
        );
    }
}
