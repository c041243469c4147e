//! The channel `local`: a surrogate on this machine, as the demo and the tests run it.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use hyper_util::client::legacy::connect::HttpConnector;
use reposure_oci::Body;

use super::{Channel, ChannelError, over_tls::OverTls};

/// Reaches a surrogate at a loopback address.
#[derive(Clone, Debug)]
pub struct Local(OverTls<HttpConnector>);

/// Why there is no local channel.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The address is not on this machine, where the certificate would have to be verified.
    #[error("{0} is no loopback address: the local channel verifies no certificate")]
    NotLoopback(SocketAddr),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

impl Local {
    /// Addresses the surrogate that serves TLS at `address`.
    ///
    /// # Errors
    /// When the address is not a loopback one: a surrogate's certificate is made at its start and signed by nobody.
    pub fn new(address: SocketAddr) -> Result<Self, LocalError> {
        if !address.ip().is_loopback() {
            return Err(LocalError::NotLoopback(address));
        }
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        OverTls::new(http, address.to_string()).map(Self).map_err(LocalError::Tls)
    }
}

impl Channel for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        async { self.0.send(request).await.map_err(ChannelError::of_surrogate) }.boxed()
    }
}
