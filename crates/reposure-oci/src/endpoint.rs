//! Where a registry is dialled.

use std::{fmt, str::FromStr};

use http::{
    Uri,
    uri::{Authority, InvalidUri, PathAndQuery},
};

use crate::auth::is_localhost;

/// How a registry is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// Returns the scheme as URLs have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Why a text names no registry's host.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It is malformed.
    #[error("{text:?} is no HOST or HOST:PORT")]
    Malformed {
        /// The text.
        text: String,
        /// What is wrong.
        #[source]
        source: InvalidUri,
    },
    /// It is no URL of either scheme.
    #[error("{0:?} does not start with http:// or https://")]
    Scheme(String),
    /// It holds more than host and port.
    #[error("{0:?} is no HOST or HOST:PORT: it holds a user's name or an empty host")]
    MoreThanHost(String),
}

/// Where a registry is dialled: a scheme, a host, and a port unless it is the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
}

impl Endpoint {
    /// Takes `host` or `host:port`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn new(scheme: Scheme, host: &str) -> Result<Self, EndpointError> {
        let malformed = |source| EndpointError::Malformed { text: host.into(), source };
        let authority: Authority = host.parse().map_err(malformed)?;
        if host.contains('@') || authority.host().is_empty() {
            return Err(EndpointError::MoreThanHost(host.into()));
        }
        Ok(Self { scheme, authority })
    }

    /// Takes `host`, `host:port`, `https://host…` or `http://host…`.
    ///
    /// Plain HTTP is for those who ask for it, and for registries on the machine itself: a name or address of a private
    /// network proves nothing of who listens there.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        if let Some(host) = trimmed.strip_prefix("https://") {
            return Self::new(Scheme::Https, host);
        }
        if let Some(host) = trimmed.strip_prefix("http://") {
            return Self::new(Scheme::Http, host);
        }
        let secure = Self::new(Scheme::Https, text)?;
        Ok(if secure.is_loopback() { Self { scheme: Scheme::Http, ..secure } } else { secure })
    }

    /// Tells whether this is the machine itself: `localhost`, or an address of its loopback.
    fn is_loopback(&self) -> bool {
        let name = self.host_name();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        address.map_or_else(|_| is_localhost(name), |address| address.to_canonical().is_loopback())
    }

    /// Returns the scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the same host and port, dialled otherwise.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// Returns `host` or `host:port`, as it was given.
    pub fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// Returns the host without its port.
    pub(crate) fn host_name(&self) -> &str {
        self.authority.host()
    }

    /// Returns the URI of a path here.
    pub(crate) fn uri(&self, path: Option<&PathAndQuery>) -> Uri {
        let path = path.map_or("/", PathAndQuery::as_str);
        let uri = Uri::builder().scheme(self.scheme.as_str()).authority(self.authority.clone());
        // A scheme, an authority and a path that were each parsed make a URI; were they not to, dialling "/" fails.
        uri.path_and_query(path).build().unwrap_or_default()
    }

    /// Tells whether a URI is of this scheme, host and port: credentials may go there.
    pub(crate) fn is_origin_of(&self, uri: &Uri) -> bool {
        uri.scheme_str() == Some(self.scheme.as_str()) && self.is_host_of(uri)
    }

    /// Tells whether a URI is of this host and port, whatever its scheme.
    ///
    /// A registry behind a proxy that ends TLS may name itself `http://` though it is dialled by `https://`; so a port that
    /// is left out is taken for the usual one of either scheme.
    pub(crate) fn is_host_of(&self, uri: &Uri) -> bool {
        let port = |given: Option<u16>, scheme: Scheme| given.filter(|port| *port != scheme.port());
        let scheme = if uri.scheme_str() == Some("http") { Scheme::Http } else { Scheme::Https };
        let same_port = port(uri.port_u16(), scheme) == port(self.authority.port_u16(), self.scheme)
            || uri.port_u16().is_some_and(|port| self.authority.port_u16() == Some(port));
        same_port && uri.host().is_some_and(|host| host.eq_ignore_ascii_case(self.authority.host()))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Takes `http://HOST[:PORT]` or `https://HOST[:PORT]`, with nothing behind.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = |scheme: Scheme| text.strip_prefix(scheme.as_str())?.strip_prefix("://");
        let [plain, tls] =
            [Scheme::Http, Scheme::Https].map(|scheme| host(scheme).map(|host| (scheme, host)));
        let (scheme, host) = plain.or(tls).ok_or_else(|| EndpointError::Scheme(text.into()))?;
        Self::new(scheme, host)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn https(host: &str) -> Endpoint {
        Endpoint::new(Scheme::Https, host).unwrap()
    }

    #[test]
    fn usual_ports_may_be_left_out() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        assert!(https("r").is_origin_of(&uri("https://R:443/v2/")));
        assert!(https("r:443").is_origin_of(&uri("https://r/v2/")));
        assert!(!https("r").is_origin_of(&uri("https://r:5000/v2/")));
        assert!(!https("r").is_origin_of(&uri("http://r/v2/")));
        assert!(https("r").is_host_of(&uri("http://r/v2/")));
        assert!(https("r:5000").is_host_of(&uri("http://r:5000/v2/")));
        assert!(!https("r:5000").is_host_of(&uri("http://r/v2/")));
        assert!(!https("r").is_host_of(&uri("https://r.example/v2/")));
    }

    #[test]
    fn plain_http_is_asked_for_or_on_the_machine_itself() {
        let parsed = |text: &str| Endpoint::parse(text).unwrap().to_string();
        for host in ["r", "r:5000", "10.0.0.1:5000", "registry.local", "192.168.1.1"] {
            assert_eq!(parsed(host), format!("https://{host}"));
            assert_eq!(parsed(&format!("http://{host}/")), format!("http://{host}"));
        }
        for host in ["localhost:5000", "127.0.0.1:5000", "[::1]:5000", "127.1.2.3"] {
            assert_eq!(parsed(host), format!("http://{host}"));
            assert_eq!(parsed(&format!("https://{host}")), format!("https://{host}"));
        }
        assert!(Endpoint::parse("ftp://a").is_err() && Endpoint::parse("http://a/b").is_err());
    }

    #[test]
    fn refuses_what_is_no_host() {
        for text in ["", "a b", "a/b", "user@a", "http://a", ":5000"] {
            assert!(Endpoint::new(Scheme::Http, text).is_err(), "{text:?}");
        }
        assert!(Endpoint::new(Scheme::Http, "[::1]:5000").is_ok());
    }

    #[test]
    fn urls_are_written_as_they_are_read() {
        for text in ["http://r", "https://r:5000", "http://[::1]:5000"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in ["r:5000", "ftp://r", "http:/r", "http://", "http://r/v2/"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
