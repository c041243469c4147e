use std::{fmt, net::IpAddr, str::FromStr};

use super::PlaceError;
use crate::{
    auth::is_localhost,
    endpoint::{Endpoint, Scheme},
    name::ImageName,
};

/// The registry that docker takes where none is named.
const DOCKER_HUB: &str = "docker.io";
/// Another name of the same.
const DOCKER_HUB_INDEX: &str = "index.docker.io";
/// Where it is dialled.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
/// Where its repositories of one part are.
const DOCKER_HUB_LIBRARY: &str = "library/";

/// An image with the host of its registry: `localhost:5000/app:v1`, `docker.io/library/app@sha256:…`.
///
/// Read as docker does: the first part is a host if it holds a dot, a colon or a capital letter, or is `localhost`. Else the
/// image is docker.io's, and one of a single part is in `library/` there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteName {
    host: String,
    dialled: Endpoint,
    image: ImageName,
}

impl RemoteName {
    /// Returns the registry's host as it is known, with a port if it was written: `docker.io`, `localhost:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the image in the registry.
    pub const fn image(&self) -> &ImageName {
        &self.image
    }

    /// Returns where the registry is dialled, which is elsewhere for `docker.io`.
    pub fn endpoint(&self, scheme: Scheme) -> Endpoint {
        self.dialled.clone().with_scheme(scheme)
    }
}

impl RemoteName {
    /// Tells whether the registry is on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.dialled.host_name();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.map_or_else(|_| is_localhost(host), |address| address.is_loopback())
    }
}

impl FromStr for RemoteName {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, rest) = match text.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest),
            // Else it were taken for the tag of an image at docker.io.
            None if text.split_once(':').is_some_and(|(host, port)| is_address(host, port)) => {
                return Err(PlaceError::Remote(text.into()));
            }
            _ => (DOCKER_HUB, text),
        };
        let is_hub = host == DOCKER_HUB || host == DOCKER_HUB_INDEX;
        let dialled = Endpoint::new(Scheme::Https, if is_hub { DOCKER_HUB_HOST } else { host });
        let dialled = dialled.map_err(|source| PlaceError::Host { text: text.into(), source })?;
        let host = if is_hub { DOCKER_HUB } else { host };
        let is_short = is_hub && !rest.split('@').next().unwrap_or_default().contains('/');
        let name = if is_short { format!("{DOCKER_HUB_LIBRARY}{rest}") } else { rest.into() };
        let image = name.parse().map_err(|source| PlaceError::Name { text: text.into(), source })?;
        Ok(Self { host: host.into(), dialled, image })
    }
}

fn is_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':']) || text.contains(|c: char| c.is_ascii_uppercase())
}

/// Tells a host with a port from an image with a tag, which may also be a number.
fn is_address(host: &str, port: &str) -> bool {
    is_host(host) && port.parse::<u16>().is_ok()
}

impl fmt::Display for RemoteName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, PlaceError> {
        text.parse().map(|name: RemoteName| name.to_string())
    }

    #[test]
    fn names_without_a_host_are_dockers() {
        for (text, full) in [
            ("app", "docker.io/library/app:latest"),
            ("app:5000", "docker.io/library/app:5000"),
            ("me/app:v1", "docker.io/me/app:v1"),
            ("docker.io/app", "docker.io/library/app:latest"),
            ("index.docker.io/app", "docker.io/library/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("Host/a", "Host/a:latest"),
            ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(full));
        }
    }

    #[test]
    fn docker_io_is_dialled_elsewhere() {
        let name: RemoteName = "app".parse().unwrap();
        assert_eq!(name.endpoint(Scheme::Https).to_string(), "https://registry-1.docker.io");
        let name: RemoteName = "localhost:5000/app".parse().unwrap();
        assert_eq!(name.endpoint(Scheme::Http).to_string(), "http://localhost:5000");
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (text, is_loopback) in [
            ("localhost:5000/a", true),
            ("127.0.0.1:5000/a", true),
            ("[::1]:5000/a", true),
            ("10.0.0.1/a", false),
            ("app", false),
        ] {
            assert_eq!(text.parse::<RemoteName>().unwrap().is_loopback(), is_loopback, "{text}");
        }
    }

    #[test]
    fn refuses_what_names_no_image() {
        assert!(matches!(parse("localhost:5000"), Err(PlaceError::Remote(_))));
        assert!(matches!(parse("user@host.example/a"), Err(PlaceError::Host { .. })));
        for text in ["", "/", "ghcr.io/", "ghcr.io/A", "ghcr.io/a:", "a@sha256:0", "//ghcr.io/a"] {
            assert!(matches!(parse(text), Err(PlaceError::Name { .. })), "{text}");
        }
    }
}
