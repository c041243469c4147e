//! What can go wrong with a daemon.

use std::{fmt, io, time::Duration};

use http::StatusCode;

use super::DaemonAddress;
use crate::{archive::OpenError, place::LocalName, transport::BoxError};

/// Which daemon is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// docker
    Docker,
    /// podman
    Podman,
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        })
    }
}

/// Why an image cannot be had from a daemon, or brought to it.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// There is no such socket: the daemon does not run.
    #[error("{engine} does not run: there is no socket at {address}")]
    NotRunning {
        /// The daemon.
        engine: Engine,
        /// Where it should listen.
        address: DaemonAddress,
    },
    /// The socket belongs to others.
    #[error("the socket of {engine} at {address} may not be used")]
    Denied {
        /// The daemon.
        engine: Engine,
        /// Where it listens.
        address: DaemonAddress,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("{engine} cannot be reached at {address}")]
    Unreachable {
        /// The daemon.
        engine: Engine,
        /// Where it should listen.
        address: DaemonAddress,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The daemon is silent.
    #[error("{method} {path} of {engine} at {address}: no answer in {} s", .limit.as_secs())]
    Timeout {
        /// The daemon.
        engine: Engine,
        /// Where it listens.
        address: DaemonAddress,
        /// The request's method.
        method: http::Method,
        /// The request's path.
        path: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The exchange broke off.
    #[error("{method} {path} of {engine} at {address} broke off")]
    Broken {
        /// The daemon.
        engine: Engine,
        /// Where it listens.
        address: DaemonAddress,
        /// The request's method.
        method: http::Method,
        /// The request's path.
        path: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// What answers is neither docker nor podman.
    #[error("what answers at {address} is no {engine}: GET /_ping gave {status} without an Api-Version")]
    Stranger {
        /// The daemon that was meant.
        engine: Engine,
        /// Where it should listen.
        address: DaemonAddress,
        /// The answer's status.
        status: StatusCode,
    },
    /// The daemon has no such image.
    #[error("{engine} has no image {name}")]
    NotFound {
        /// The daemon.
        engine: Engine,
        /// The image.
        name: LocalName,
    },
    /// The daemon refuses.
    #[error("{method} {path} of {engine}: {status}: {message}")]
    Refused {
        /// The daemon.
        engine: Engine,
        /// The request's method.
        method: http::Method,
        /// The request's path.
        path: String,
        /// The answer's status.
        status: StatusCode,
        /// What the daemon says.
        message: String,
    },
    /// The daemon cannot load the images.
    #[error("{engine} cannot load the images: {message}")]
    NotLoaded {
        /// The daemon.
        engine: Engine,
        /// What the daemon says.
        message: String,
    },
    /// What the daemon sent cannot be used as an archive.
    #[error("what {engine} sent of {name} cannot be used")]
    Archive {
        /// The daemon.
        engine: Engine,
        /// The image.
        name: LocalName,
        /// What is wrong.
        #[source]
        source: Box<OpenError>,
    },
}
