//! Which addresses a provider may have.
//!
//! A gateway that asks any address it is told to can be made to ask the cloud's metadata service for the machine's own
//! credentials. So those addresses, and the link-local range that most of them lie in, are never asked. Private addresses are
//! where in-cluster servers live; whether they are asked is a setting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The internet.
    Public,
    /// This machine or its networks: asked unless `providers.deny_private_networks` is set.
    Private,
    /// Link-local or a metadata service: never asked.
    Forbidden,
}

/// Metadata services outside of the link-local ranges: Alibaba Cloud, Oracle Cloud (older), Azure's wire server.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
/// Amazon's metadata service over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What `address` is good for. An IPv6 address that only wraps an IPv4 one is what it wraps.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => match wrapped(v6) {
            Some(v4) => reach_v4(v4),
            None => reach_v6(v6),
        },
    }
}

/// What a host name is good for, as far as the name alone tells. Case and a final dot mean nothing.
pub fn reach_of_name(host: &str) -> Reach {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.as_str() {
        "metadata" | "metadata.google.internal" | "metadata.goog" | "instance-data" => Reach::Forbidden,
        "localhost" => Reach::Private,
        name if name.ends_with(".localhost") => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    if address.is_link_local() || METADATA_V4.contains(&address) {
        return Reach::Forbidden;
    }
    let [first, second, ..] = address.octets();
    // 0.0.0.0/8 is this machine; 100.64.0.0/10 is shared by a carrier's customers (RFC 6598).
    let own = first == 0 || address.is_loopback() || address.is_private();
    let carrier = first == 100 && (64..128).contains(&second);
    if own || carrier { Reach::Private } else { Reach::Public }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if address.is_unicast_link_local() || address == METADATA_V6 {
        return Reach::Forbidden;
    }
    if address.is_loopback() || address.is_unspecified() || address.is_unique_local() {
        Reach::Private
    } else {
        Reach::Public
    }
}

/// The IPv4 address inside `::ffff:a.b.c.d`, `::a.b.c.d`, NAT64 (`64:ff9b::/96`, RFC 6052) or 6to4 (`2002::/16`, RFC 3056).
fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| {
        let ([one, two], [three, four]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(one, two, three, four)
    };
    match address.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, _] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_addresses_are_forbidden_in_every_disguise() {
        let forbidden = [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ];
        for address in forbidden {
            assert_eq!(reach(address.parse().unwrap()), Reach::Forbidden, "{address}");
        }
        assert_eq!(reach_of_name("Metadata.Google.Internal."), Reach::Forbidden);
    }

    #[test]
    fn own_networks_are_private_and_the_rest_is_public() {
        for address in
            ["127.0.0.1", "10.1.2.3", "192.168.0.9", "100.64.0.1", "0.0.0.0", "::1", "::", "fd12::1"]
        {
            assert_eq!(reach(address.parse().unwrap()), Reach::Private, "{address}");
        }
        assert_eq!(reach_of_name("api.localhost"), Reach::Private);
        for address in ["1.1.1.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert_eq!(reach(address.parse().unwrap()), Reach::Public, "{address}");
        }
        assert_eq!(reach_of_name("api.openai.com"), Reach::Public);
    }
}
