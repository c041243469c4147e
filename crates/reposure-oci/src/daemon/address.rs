//! Where a daemon listens.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::endpoint::{Endpoint, Scheme};

/// Where a daemon listens, as `DOCKER_HOST` and `CONTAINER_HOST` say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonAddress {
    /// `unix:///run/podman/podman.sock`
    Unix(PathBuf),
    /// `tcp://localhost:2375`, without TLS.
    Tcp(Endpoint),
}

/// Why a text is no address of a daemon.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// It is malformed.
    #[error("{0:?} is no address of a daemon: write unix:///PATH or tcp://HOST:PORT")]
    Malformed(String),
    /// It is of a kind that is not spoken here.
    #[error("{0:?} is an address that is not supported here: write unix:///PATH or tcp://HOST:PORT")]
    Unsupported(String),
}

impl FromStr for DaemonAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || AddressError::Malformed(text.into());
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp" | "http", host)) => {
                let host = host.strip_suffix('/').unwrap_or(host);
                let endpoint = Endpoint::new(Scheme::Http, host).map_err(|_| malformed())?;
                Ok(Self::Tcp(endpoint))
            }
            Some(("ssh" | "npipe" | "fd" | "https", _)) => Err(AddressError::Unsupported(text.into())),
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for DaemonAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp(endpoint) => write!(formatter, "tcp://{}", endpoint.host()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_docker_host() {
        for text in ["unix:///var/run/docker.sock", "tcp://localhost:2375", "tcp://[::1]:2375"] {
            assert_eq!(text.parse::<DaemonAddress>().unwrap().to_string(), text);
        }
        for text in ["ssh://me@host", "npipe:////./pipe/docker_engine"] {
            assert_eq!(text.parse::<DaemonAddress>(), Err(AddressError::Unsupported(text.into())));
        }
        for text in
            ["", "/var/run/docker.sock", "unix://docker.sock", "tcp://", "tcp://a/b", "localhost:2375"]
        {
            assert_eq!(text.parse::<DaemonAddress>(), Err(AddressError::Malformed(text.into())));
        }
    }
}
