//! `NO_PROXY`, as kubectl reads it.
//!
//! See [`httpproxy.Config`](https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config) of Go, whose rules these are.

use std::net::IpAddr;

/// Where no proxy is on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Everywhere,
    Network(IpAddr, u8),
    Address(IpAddr, Option<u16>),
    /// Hosts below a domain: `.example.com`.
    Domain {
        suffix: String,
        /// Whether the domain itself is meant too.
        with_itself: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// Reads a list of entries with commas between them; those that mean nothing are passed over.
    pub(super) fn new(text: &str) -> Self {
        Self(text.split(',').filter_map(|entry| Entry::new(&entry.trim().to_ascii_lowercase())).collect())
    }

    /// Tells whether a server is one of these.
    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let address = host.parse().ok();
        self.0.iter().any(|entry| entry.matches(&host, address, port))
    }
}

impl Entry {
    fn new(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everywhere);
        }
        if let Some((address, bits)) = text.split_once('/') {
            return Some(Self::Network(address.parse().ok()?, bits.parse().ok()?));
        }
        let (host, port) = host_and_port(text);
        if let Ok(address) = host.parse() {
            return Some(Self::Address(address, port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let with_itself = !host.starts_with('.');
        let suffix = if with_itself { format!(".{host}") } else { host.to_owned() };
        (suffix.len() > 1).then_some(Self::Domain { suffix, with_itself, port })
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let fits = |wanted: Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::Everywhere => true,
            Self::Network(network, bits) => {
                address.is_some_and(|address| is_within(address, *network, *bits))
            }
            Self::Address(wanted, port) => address == Some(*wanted) && fits(*port),
            Self::Domain { suffix, with_itself, port } => {
                let is_below = host.ends_with(suffix) || (*with_itself && host == &suffix[1..]);
                is_below && fits(*port)
            }
        }
    }
}

/// Takes `host:port` apart, of which an address of IPv6 has brackets.
fn host_and_port(text: &str) -> (&str, Option<u16>) {
    let apart = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let apart = apart.and_then(|(host, port)| Some((host, Some(port.parse().ok()?))));
    let (host, port) = apart.unwrap_or((text, None));
    (host.trim_matches(['[', ']']), port)
}

/// Tells whether an address begins with the same bits as a network.
fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |address: u128, network: u128, width: u32| {
        let rest = width.checked_sub(bits.into());
        rest.is_some_and(|rest| {
            address.checked_shr(rest).unwrap_or_default() == network.checked_shr(rest).unwrap_or_default()
        })
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            same(u32::from(address).into(), u32::from(network).into(), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => same(address.into(), network.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(list: &str, host: &str, port: u16) -> bool {
        NoProxy::new(list).matches(host, port)
    }

    #[test]
    fn names() {
        for (list, below, itself) in [
            ("example.com", true, true),
            (".example.com", true, false),
            ("*.example.com", true, false),
            ("EXAMPLE.com", true, true),
            ("ample.com", false, false),
            ("other.com, ,example.com,", true, true),
            ("*", true, true),
            ("", false, false),
            (" , .,*.,:80", false, false),
        ] {
            assert_eq!(matches(list, "api.Example.com", 6443), below, "{list}");
            assert_eq!(matches(list, "example.com", 6443), itself, "{list}");
        }
    }

    #[test]
    fn ports() {
        for (list, port, fits) in [
            ("example.com:6443", 6443, true),
            ("example.com:6443", 443, false),
            (".example.com:443", 443, false),
            ("10.0.0.1:6443", 6443, false),
        ] {
            assert_eq!(matches(list, "example.com", port), fits, "{list} {port}");
        }
        assert!(matches("10.0.0.1:6443", "10.0.0.1", 6443) && !matches("10.0.0.1:6443", "10.0.0.1", 443));
        assert!(matches("[fd00::1]:6443", "[fd00::1]", 6443) && !matches("[fd00::1]:6443", "[fd00::1]", 1));
    }

    #[test]
    fn addresses_and_networks() {
        for (list, host, fits) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "host.10", false),
            ("10.0.0.1/32", "10.0.0.1", true),
            ("0.0.0.0/0", "10.0.0.1", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("10.0.0.0/x", "10.0.0.0", false),
            ("fd00::/8", "[fd12::7]", true),
            ("fd00::/8", "[fe80::7]", false),
            ("::/0", "[fe80::7]", true),
            ("fd00::1", "[fd00:0::1]", true),
        ] {
            assert_eq!(matches(list, host, 6443), fits, "{list} {host}");
        }
    }
}
