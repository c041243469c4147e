//! Ways from a client to a surrogate.
//!
//! Everything above [`Channel`] runs unchanged over any of them.

mod alternatives;
mod any_certificate;
mod api_server;
mod buffered;
mod diagnosis;
mod direct;
mod exec;
mod forward_proxy;
mod forwarded_port;
mod greedy;
mod handshake;
mod kubectl;
mod local;
mod messages;
mod multiplexed;
mod negotiated;
mod over_tls;
mod pool;
mod port_forward;
mod process;
mod protocol;
mod proxy;
mod replay;
mod retry_after;
mod segment;
mod spare;
mod spdy;
mod tcp;
mod tunnelled_port;
mod upgrade;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use reposure_oci::{Body, transport::BoxError};
use tokio::time::Instant;

pub(crate) use alternatives::Alternatives;
pub use api_server::{ApiServer, ApiServerError};
pub use direct::Direct;
pub use exec::exec;
pub use kubectl::kubectl;
pub use local::{Local, LocalError};
pub use port_forward::PortForward;
pub use proxy::Proxy;

/// 8 x 4 MiB, where the measured throughput levelled off.
pub(crate) const MOST_AT_ONCE: usize = 8;

/// Sends single requests to a surrogate. Many may be under way at once.
pub trait Channel: Send + Sync + fmt::Debug {
    /// Returns the channel's name, as `--channel` takes it.
    fn name(&self) -> &'static str;

    /// Tells whether the surrogate asks those who come over it for a token.
    fn needs_token(&self) -> bool {
        true
    }

    /// Returns the same way without TLS of the surrogate's own on it, if the way is encrypted to the surrogate's node without that.
    fn unwrapped(&self) -> Option<Arc<dyn Channel>> {
        None
    }

    /// Returns the same way without TLS between the API server and the surrogate, for what is no secret there.
    fn clear(&self) -> Option<Arc<dyn Channel>> {
        None
    }

    /// Returns how many chunks or ranges at once are the most that make it quicker, where it is near.
    fn most_at_once(&self) -> usize {
        MOST_AT_ONCE
    }

    /// Tells whether the surrogate is in this process, so that the registry is reached from here.
    fn is_embedded(&self) -> bool {
        false
    }

    /// Takes note that a request of `sent` was given up, since no answer came in time: what is idle since then may lead nowhere as well.
    fn leave_idle(&self, _sent: Instant) {}

    /// Sends a request whose URI is a path and query of the surrogate's API, and returns whatever answered.
    ///
    /// # Errors
    /// When there was no answer.
    ///
    /// # Cancel safety
    /// Dropping the future or the answer's body ends the exchange; the surrogate may have acted on it.
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>>;
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer from the {hop}")]
pub struct ChannelError {
    /// The hop that failed.
    pub hop: Hop,
    /// What happened.
    #[source]
    pub source: BoxError,
}

impl ChannelError {
    /// The surrogate gave no answer.
    pub(crate) fn of_surrogate(source: BoxError) -> Self {
        Self { hop: Hop::Surrogate, source }
    }
}

/// A hop on the way to a surrogate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Credentials of the kubeconfig: a certificate, a token, an exec plugin.
    Credentials,
    /// The API server.
    ApiServer,
    /// The surrogate itself.
    Surrogate,
}

impl fmt::Display for Hop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Credentials => "credentials in the kubeconfig",
            Self::ApiServer => "API server",
            Self::Surrogate => "surrogate",
        })
    }
}
