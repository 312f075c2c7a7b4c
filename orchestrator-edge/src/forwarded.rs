//! For whom a proxy speaks: the address that a request comes from, when it comes through proxies that are trusted.
//!
//! Anybody can write these headers; each proxy adds, at the end, whom it was called by. So they are read from the end, and only for
//! as long as a trusted proxy wrote the word: the first address that is no trusted proxy's is the client's, and whatever stands
//! before it is hearsay.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use orchestrator_base::{config::ProxyHeader, network::Network};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a request of `peer` comes from. Costs nothing where no proxy is trusted.
pub(crate) fn client(
    headers: &HeaderMap,
    peer: SocketAddr,
    trusted: &[Network],
    header: ProxyHeader,
) -> SocketAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() || !is_trusted(peer.ip()) {
        return peer;
    }
    let mut known = peer;
    for hop in hops(headers, header).iter().rev() {
        // Who cannot be told apart ends the search: what is further away was said by nobody that is known.
        let Some(address) = hop else { break };
        known = SocketAddr::new(*address, 0);
        if !is_trusted(*address) {
            break;
        }
    }
    known
}

/// All hops that the headers name, the nearest last; `None` for what is no address.
fn hops(headers: &HeaderMap, header: ProxyHeader) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    match header {
        ProxyHeader::XForwardedFor => {
            for line in headers.get_all(X_FORWARDED_FOR) {
                hops.extend(line.as_bytes().split(|byte| *byte == b',').map(|hop| address(hop.trim_ascii())));
            }
        }
        ProxyHeader::Forwarded => {
            for line in headers.get_all(header::FORWARDED) {
                // A quote that a client leaves open would swallow what its proxy writes behind it.
                if leaves_quote_open(line.as_bytes()) {
                    hops.push(None);
                    continue;
                }
                hops.extend(outside_quotes(line.as_bytes(), b',').map(forwarded_for));
            }
        }
    }
    hops
}

/// The node of `for=` in one element of `Forwarded` (RFC 7239, section 4): `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    outside_quotes(element, b';').find_map(|pair| {
        let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        let value = value.get(1..)?.trim_ascii();
        if !name.trim_ascii().eq_ignore_ascii_case(b"for") {
            return None;
        }
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        address(unquoted.unwrap_or(value))
    })
}

/// The parts of `text` between separators that stand in no quoted string.
fn outside_quotes(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Quotes::default();
    text.split(move |byte| !quotes.are_open_after(*byte) && *byte == separator)
}

fn leaves_quote_open(text: &[u8]) -> bool {
    let mut quotes = Quotes::default();
    text.iter().fold(false, |_, byte| quotes.are_open_after(*byte))
}

/// Where in a quoted string a reader is (RFC 9110, section 5.6.4).
#[derive(Default)]
struct Quotes {
    is_open: bool,
    is_escaped: bool,
}

impl Quotes {
    fn are_open_after(&mut self, byte: u8) -> bool {
        let was_escaped = std::mem::take(&mut self.is_escaped);
        match byte {
            b'"' if !was_escaped => self.is_open = !self.is_open,
            b'\\' if self.is_open && !was_escaped => self.is_escaped = true,
            _ => {}
        }
        self.is_open
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse();
    let found = alone.ok().or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    found.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// 10.0.0.0/8 and 2001:db8::/32 are the proxies of these tests.
    fn client_of(peer: &str, name: HeaderName, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let kind =
            if name == header::FORWARDED { ProxyHeader::Forwarded } else { ProxyHeader::XForwardedFor };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), HeaderValue::from_str(line).unwrap());
        }
        client(&headers, SocketAddr::new(peer.parse().unwrap(), 4000), &trusted, kind).ip().to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        for (peer, lines, client) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.1 ,10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6", "198.51.100.1:7777", "10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1,"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("2001:db8::1", &["[2001:db9::7]:443, 2001:db8::2"], "2001:db9::7"),
        ] {
            assert_eq!(client_of(peer, X_FORWARDED_FOR, lines), client, "{peer} says {lines:?}");
        }
    }

    #[test]
    fn the_standard_header_is_read_as_its_standard_says() {
        for (lines, client) in [
            (&["for=198.51.100.1"][..], "198.51.100.1"),
            (&["for=6.6.6.6, For=\"198.51.100.1:80\";proto=https;by=10.0.0.2, for=10.0.0.2"], "198.51.100.1"),
            (&["for=6.6.6.6", "proto=http; for = \"[2001:db9::7]:443\""], "2001:db9::7"),
            (&["for=198.51.100.1, for=_hidden, for=10.0.0.2"], "10.0.0.2"),
            (&["for=198.51.100.1, for=unknown"], "10.0.0.1"),
            (&["for=198.51.100.1, proto=http"], "10.0.0.1"),
            (&["for=6.6.6.6;host=\"x, for=198.51.100.1"], "10.0.0.1"),
            (&["for=6.6.6.6;host=\"x, for=\"198.51.100.1\""], "10.0.0.1"),
            // A quoted comma is no end of an element.
            (&["host=\"a, for=6.6.6.6\";for=198.51.100.1"], "198.51.100.1"),
            (&["host=\"a\\\", for=6.6.6.6\";for=198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(client_of("10.0.0.1", header::FORWARDED, lines), client, "{lines:?}");
        }
        let other = client_of("10.0.0.1", X_FORWARDED_FOR, &[]);
        assert_eq!(other, "10.0.0.1", "a header that is not chosen says nothing");
    }

    proptest! {
        /// Whatever a client sends along, the proxy's own word decides.
        #[test]
        fn what_a_client_writes_changes_nothing(said in "[ -~]{0,60}", standard: bool, quoted: bool) {
            let (name, proxys) = match (standard, quoted) {
                (true, false) => (header::FORWARDED, "for=198.51.100.1, for=10.0.0.2"),
                (true, true) => (header::FORWARDED, "for=\"198.51.100.1:80\";by=\"a\", for=10.0.0.2"),
                (false, _) => (X_FORWARDED_FOR, "198.51.100.1, 10.0.0.2"),
            };
            prop_assert_eq!(client_of("10.0.0.1", name.clone(), &[&said, proxys]), "198.51.100.1");
            prop_assert_eq!(client_of("203.0.113.9", name.clone(), &[&said, proxys]), "203.0.113.9");
            // On one line with it, a quote that is left open makes the client unknown, and nobody else.
            let found = client_of("10.0.0.1", name.clone(), &[&format!("{said}, {proxys}")]);
            let may_be_unknown = standard && found == "10.0.0.1";
            prop_assert!(found == "198.51.100.1" || may_be_unknown, "{}", found);
        }

        #[test]
        fn anything_may_be_said(bytes: Vec<u8>, standard: bool) {
            let name = if standard { header::FORWARDED } else { X_FORWARDED_FOR };
            let kind = if standard { ProxyHeader::Forwarded } else { ProxyHeader::XForwardedFor };
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = [(name, value)].into_iter().collect();
                client(&headers, "10.0.0.1:1".parse().unwrap(), &["0.0.0.0/0".parse().unwrap()], kind);
            }
        }
    }
}
