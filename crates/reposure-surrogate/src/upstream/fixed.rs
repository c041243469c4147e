//! A way to the registry that stays as it is.

use futures::future::BoxFuture;
use http::{Request, Response};
use reposure_oci::{Body, DirectTransport, Transport, TransportError};

use super::registry::without_host;

/// The way to the registry of a surrogate that lives as long as one command.
#[derive(Debug)]
pub(crate) struct FixedRegistry(pub(crate) DirectTransport);

impl Transport for FixedRegistry {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let path = request.uri().path().to_owned();
        Box::pin(async move { self.0.send(request).await.map(|response| without_host(response, &path)) })
    }

    fn url(&self, path: &str) -> String {
        self.0.url(path)
    }
}
