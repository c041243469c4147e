//! What the environment says of proxies.

use http::{Uri, uri::Scheme};

use super::{no_proxy::NoProxy, proxy};
use crate::exit::{Failure, Kind};

/// The variables for servers over TLS, for those without, and for all; of each the first that says something.
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The variables.
#[derive(Debug)]
pub(super) struct Environment {
    https: Option<Variable>,
    http: Option<Variable>,
    no: NoProxy,
}

/// A variable's name, and what it says.
type Variable = (&'static str, String);

impl Environment {
    /// Reads the variables of this process.
    pub(super) fn read() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// Reads variables.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            let found = |name| Some((name, variable(name).filter(|text| !text.trim().is_empty())?));
            names.into_iter().find_map(found)
        };
        let no = first(NO).map_or_else(NoProxy::default, |(_, text)| NoProxy::new(&text));
        Self { https: first(HTTPS).or_else(|| first(ALL)), http: first(HTTP).or_else(|| first(ALL)), no }
    }

    /// Returns the proxy to a server, with its credentials.
    ///
    /// # Errors
    /// When the variable that speaks of it has no address.
    pub(super) fn proxy_to(&self, server: &Uri) -> Result<Option<Uri>, Failure> {
        let is_plain = server.scheme() == Some(&Scheme::HTTP);
        let (variable, port) = if is_plain { (&self.http, 80) } else { (&self.https, 443) };
        let (host, port) = (server.host().unwrap_or_default(), server.port_u16().unwrap_or(port));
        match variable {
            Some((name, text)) if !self.no.matches(host, port) => address(name, text.trim()).map(Some),
            _ => Ok(None),
        }
    }
}

/// Reads a proxy's address, which may leave `http://` out.
fn address(name: &str, text: &str) -> Result<Uri, Failure> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // What cannot be read may hold a password.
    proxy::address(&whole).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("{name} holds no address of a proxy")).hint(proxy::ADDRESS)
    })
}
