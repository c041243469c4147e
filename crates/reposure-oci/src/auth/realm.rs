//! Which realms credentials may be sent to.
//!
//! The registry names the realm, so a registry that is not what it seems could have the credentials sent anywhere. These are
//! the rules of go-containerregistry's `validateRealmURL`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use url::{Host, Url};

use crate::endpoint::{Endpoint, Scheme};

/// Why credentials are not sent to a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RealmRefusal {
    /// It is no URL.
    #[error("it is no absolute http or https URL")]
    NoUrl,
    /// It is plain HTTP, while the registry is dialled by TLS.
    #[error("it is plain HTTP, while the registry is dialled by TLS")]
    Plain,
    /// It holds a user's name.
    #[error("it holds a user's name")]
    User,
    /// It is an address of a private network, and not the registry's own.
    #[error("it is an address of a private network, and not the registry's own host and port")]
    Private,
}

/// Parses a realm that a registry named, if credentials may go there.
pub(crate) fn check(realm: &str, registry: &Endpoint) -> Result<Url, RealmRefusal> {
    let url = Url::parse(realm).map_err(|_| RealmRefusal::NoUrl)?;
    let host = url.host().ok_or(RealmRefusal::NoUrl)?;
    match (url.scheme(), registry.scheme()) {
        ("https", _) | ("http", Scheme::Http) => {}
        ("http", Scheme::Https) => return Err(RealmRefusal::Plain),
        _ => return Err(RealmRefusal::NoUrl),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RealmRefusal::User);
    }
    let own = url.as_str().parse::<Uri>().is_ok_and(|uri| registry.is_origin_of(&uri));
    if !own && is_private(&host) { Err(RealmRefusal::Private) } else { Ok(url) }
}

fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => is_localhost(name),
        Host::Ipv4(address) => is_private_address(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_private_address(IpAddr::V6(*address)),
    }
}

/// Tells whether a name always means the machine itself (RFC 6761, section 6.3).
pub(crate) fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn is_private_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_local_address(address) || v4.is_private() || is_shared(v4) || v4.is_multicast(),
        IpAddr::V6(v6) => is_local_address(address) || v6.is_unique_local() || v6.is_multicast(),
    }
}

/// Tells whether an address is of the machine itself or of its link, where clouds serve machines' credentials.
pub(crate) fn is_local_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6 == Ipv6Addr::UNSPECIFIED,
    }
}

/// 100.64.0.0/10, the shared address space of RFC 6598.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(scheme: Scheme, realm: &str) -> Option<RealmRefusal> {
        check(realm, &Endpoint::new(scheme, "10.0.0.1:5000").unwrap()).err()
    }

    #[test]
    fn credentials_go_to_names_and_to_the_registry_itself() {
        assert_eq!(refusal(Scheme::Https, "https://auth.example/token"), None);
        assert_eq!(refusal(Scheme::Https, "https://10.0.0.1:5000/token"), None);
        assert_eq!(refusal(Scheme::Http, "http://auth.example/token"), None);
        assert_eq!(refusal(Scheme::Https, "https://8.8.8.8/token"), None);
    }

    #[test]
    fn credentials_go_nowhere_else() {
        use RealmRefusal::{NoUrl, Plain, Private, User};
        assert_eq!(refusal(Scheme::Https, "http://auth.example/token"), Some(Plain));
        assert_eq!(refusal(Scheme::Https, "https://user@auth.example/token"), Some(User));
        for realm in ["", "/token", "ftp://auth.example/", "https://"] {
            assert_eq!(refusal(Scheme::Https, realm), Some(NoUrl), "{realm:?}");
        }
        for host in [
            "10.0.0.1",
            "10.0.0.1:443",
            "169.254.169.254",
            "127.0.0.1",
            "2130706433",
            "[::1]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.2]",
            "100.64.0.1",
            "0.0.0.0",
            "localhost:5000",
            "a.localhost.",
        ] {
            assert_eq!(refusal(Scheme::Https, &format!("https://{host}/token")), Some(Private), "{host}");
        }
    }
}
