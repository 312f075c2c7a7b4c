//! Which network addresses a provider may have.
//!
//! Private addresses are ordinary: model servers stand in the same cluster. Link-local ones never are: there stand the clouds'
//! metadata services (169.254.169.254, `fd00:ec2::254`), which hand out credentials to whoever asks. The check is made on a
//! literal address when a provider is created, and on every resolved address when it is dialled, so that a name that is
//! rebound later does not pass.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// AWS's metadata service on IPv6: the one that is not in a link-local range.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// Alibaba Cloud's metadata service: carrier-grade NAT space, not link-local.
const METADATA_ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Link-local or a metadata service: always refused.
    LinkLocal,
    /// Private or loopback, where `providers.deny_private_networks` is set.
    Private,
}

/// Says whether a provider may stand at `address`.
pub fn check(address: IpAddr, deny_private: bool) -> Result<(), Refusal> {
    let address = canonical(address);
    if is_link_local(address) {
        return Err(Refusal::LinkLocal);
    }
    if deny_private && is_private(address) {
        return Err(Refusal::Private);
    }
    Ok(())
}

/// An IPv4 address may hide in an IPv6 one: mapped (`::ffff:a.b.c.d`) or compatible (`::a.b.c.d`).
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6 == Ipv6Addr::LOCALHOST || v6.is_unspecified() => address,
        IpAddr::V6(v6) => v6.to_ipv4().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == METADATA_ALIBABA,
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_refused_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert_eq!(check(text.parse().unwrap(), false), Err(Refusal::LinkLocal), "{text}");
        }
    }

    #[test]
    fn private_networks_are_refused_only_where_asked() {
        for text in ["10.1.2.3", "192.168.0.1", "127.0.0.1", "::1", "fd12::1", "::ffff:10.0.0.1", "0.0.0.0"] {
            assert_eq!(check(text.parse().unwrap(), false), Ok(()), "{text}");
            assert_eq!(check(text.parse().unwrap(), true), Err(Refusal::Private), "{text}");
        }
        assert_eq!(check("93.184.216.34".parse().unwrap(), true), Ok(()));
    }
}
