//! Ways to an API server through a proxy that the user has for all that goes out: by `CONNECT`, or SOCKS 5.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderValue, Uri, uri::Authority};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use kube::{Config, client::ConfigExt as _};
use percent_encoding::percent_decode_str;
use reposure_oci::transport::BoxError;
use rustls::ClientConfig;
use tower::{Service, ServiceExt as _, util::MapErr};

/// The port of SOCKS 5, where a proxy's address has none. See [RFC 1928, section 3](https://www.rfc-editor.org/rfc/rfc1928#section-3).
const SOCKS_PORT: u16 = 1080;

/// There is no way to the API server through the proxy.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} leads to no API server")]
pub(super) struct ProxyError {
    proxy: String,
    #[source]
    source: BoxError,
}

/// Names the proxy where its connector fails.
pub(super) fn named<C>(
    proxy: &Uri,
    connector: C,
) -> MapErr<C, impl FnOnce(C::Error) -> ProxyError + Clone + use<C>>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
{
    let proxy = shown(proxy);
    connector.map_err(move |error: C::Error| ProxyError { proxy: proxy.clone(), source: error.into() })
}

/// Connects through a proxy that speaks HTTP, by `CONNECT`.
///
/// # Errors
/// When the proxy's name and password cannot be sent.
pub(super) fn tunnel<C>(proxy: &Uri, connector: C) -> Result<Tunnel<C>, BoxError> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    let Some((name, password)) = user(proxy) else { return Ok(tunnel) };
    let credentials = BASE64_STANDARD.encode(format!("{name}:{password}"));
    Ok(tunnel.with_auth(HeaderValue::try_from(format!("Basic {credentials}"))?))
}

/// Speaks TLS with the proxy itself, whose certificate is trusted as the API server's is: as kubectl does.
///
/// # Errors
/// When certificates of the kubeconfig cannot be used.
pub(super) fn over_tls<C>(config: &Config, connector: C) -> Result<HttpsConnector<C>, BoxError> {
    let mut tls: ClientConfig = config.rustls_client_config()?;
    // `CONNECT` is spoken in HTTP/1.1 here.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((connector, tls).into())
}

/// Connects through a proxy that speaks SOCKS 5, and resolves names itself.
pub(super) fn socks<C>(proxy: &Uri, connector: C) -> SocksV5<C> {
    let socks = SocksV5::new(with_socks_port(proxy), connector);
    match user(proxy) {
        Some((name, password)) => socks.with_auth(name, password),
        None => socks,
    }
}

/// Returns a proxy's address with a port: the one that RFC 1928 names, where it has none.
fn with_socks_port(proxy: &Uri) -> Uri {
    let mut parts = proxy.clone().into_parts();
    if let Some(authority) = parts.authority.as_ref().filter(|authority| authority.port().is_none()) {
        parts.authority = format!("{authority}:{SOCKS_PORT}").parse().ok();
    }
    Uri::from_parts(parts).unwrap_or_else(|_| proxy.clone())
}

/// Returns a proxy's address as it may be shown, without a password.
pub(super) fn shown(proxy: &Uri) -> String {
    let host = proxy.authority().map_or("", host_and_port);
    format!("{}://{host}", proxy.scheme_str().unwrap_or_default())
}

fn host_and_port(authority: &Authority) -> &str {
    authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host)
}

/// Returns the name and the password in an address.
fn user(proxy: &Uri) -> Option<(String, String)> {
    let (user, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decoded(name), decoded(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_and_not_shown() {
        let proxy = |text: &str| text.parse::<Uri>().unwrap();
        let full = proxy("http://me:p%40ss%3Aword@proxy.example:3128");
        assert_eq!(user(&full), Some(("me".into(), "p@ss:word".into())));
        assert_eq!(shown(&full), "http://proxy.example:3128");
        assert_eq!(user(&proxy("socks5://me@proxy.example")), Some(("me".into(), String::new())));
        assert_eq!(user(&proxy("http://proxy.example:3128")), None);
    }

    #[test]
    fn a_proxy_that_speaks_socks_has_its_own_port() {
        for (proxy, whole) in [
            ("socks5://me:hush@proxy.example", "socks5://me:hush@proxy.example:1080/"),
            ("socks5h://[fd00::1]/", "socks5h://[fd00::1]:1080/"),
            ("socks5://proxy.example:9050", "socks5://proxy.example:9050/"),
        ] {
            assert_eq!(with_socks_port(&proxy.parse().unwrap()).to_string(), whole);
        }
    }
}
