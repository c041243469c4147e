//! The channel `port-forward`: streams to the surrogate's port, each in a WebSocket to the pod's `portforward` subresource.
//!
//! On each goes what goes through the channel `proxy`: HTTP/1.1 over TLS. The kubelet and the container runtime are on the way. It
//! needs the right to `create` (and, for a WebSocket, to `get`) `pods/portforward` alone.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use reposure_oci::Body;
use tower::Service;

use super::{
    ApiServer, Channel, ChannelError,
    forwarded_port::ForwardedPort,
    messages::Messages,
    over_tls::OverTls,
    segment::segment,
    upgrade::{UpgradeError, upgrade},
};

/// What stands in URIs in place of an address. The certificate is not verified, so that it has no meaning.
const AUTHORITY: &str = "surrogate";

/// Reaches a surrogate through the `portforward` subresource of its pod.
#[derive(Clone, Debug)]
pub struct PortForward(OverTls<Connector>);

impl PortForward {
    /// Addresses the pod `pod` in `namespace`, which serves TLS at `port`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(api_server: ApiServer, namespace: &str, pod: &str, port: u16) -> Result<Self, rustls::Error> {
        let (namespace, pod) = (segment(namespace), segment(pod));
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}").into();
        OverTls::new(Connector { api_server, path }, AUTHORITY.into()).map(Self)
    }
}

impl Channel for PortForward {
    fn name(&self) -> &'static str {
        "port-forward"
    }

    /// The stream ends in the pod's own network namespace, and is encrypted up to the node.
    fn unwrapped(&self) -> Option<Arc<dyn Channel>> {
        Some(Arc::new(Self(self.0.without_tls())))
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        async {
            let error = match self.0.send(request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match upgrade_error(&*error) {
                None => Err(ChannelError::of_surrogate(error)),
                Some(upgrade) => match upgrade.answer() {
                    Some(answer) => Ok(answer),
                    None => Err(ChannelError { hop: upgrade.hop(), source: error }),
                },
            }
        }
        .boxed()
    }
}

/// Finds out whether there was no stream at all.
fn upgrade_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a UpgradeError> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// Opens streams to the port.
#[derive(Clone, Debug)]
struct Connector {
    api_server: ApiServer,
    path: Arc<str>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Messages<ForwardedPort>>;
    type Error = UpgradeError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { api_server, path } = self.clone();
        async move {
            let socket = upgrade(&api_server, &path).await?;
            Ok(TokioIo::new(Messages::new(socket, ForwardedPort::new())))
        }
        .boxed()
    }
}
