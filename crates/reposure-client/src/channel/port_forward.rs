//! The channel `port-forward`: streams to the surrogate's port, each in a WebSocket to the pod's `portforward` subresource.
//!
//! On each goes what goes through the channel `proxy`: HTTP/1.1 over TLS. The kubelet and the container runtime are on the way. It
//! needs the right to `create` (and, for a WebSocket, to `get`) `pods/portforward` alone.
//!
//! Kubernetes since 1.31 ends the WebSocket before the container runtime, which then gets the bytes as they are; before that it
//! unmasks every single one itself, and is what a push waits for.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use reposure_oci::{Body, transport::BoxError};
use tokio::time::Instant;
use tower::Service;

use super::{
    ApiServer, Channel, ChannelError,
    forwarded_port::ForwardedPort,
    messages::Messages,
    over_tls::OverTls,
    protocol::Protocol,
    segment::segment,
    tunnelled_port::TunnelledPort,
    upgrade::{CHANNELS, Socket, UpgradeError, upgrade},
};

/// The protocol of bytes of SPDY, which the container runtime gets as they are. See [`kubectl port-forward` over WebSockets][1].
///
/// [1]: https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// The chunks or ranges in flight where it is near: more cost all that is on the way more, and are no faster, measured on two cores.
const MOST_AT_ONCE: usize = 3;
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
        let connector = Connector { api_server, path, port, refuses_tunnels: Arc::default() };
        OverTls::new(connector, AUTHORITY.into()).map(Self)
    }
}

impl Channel for PortForward {
    fn name(&self) -> &'static str {
        "port-forward"
    }

    fn most_at_once(&self) -> usize {
        MOST_AT_ONCE
    }

    /// The stream ends in the pod's own network namespace, and is encrypted up to the node.
    fn unwrapped(&self) -> Option<Arc<dyn Channel>> {
        Some(Arc::new(Self(self.0.without_tls())))
    }

    fn leave_idle(&self, sent: Instant) {
        self.0.leave_idle(sent);
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
    port: u16,
    /// Whether something on the way lets no request pass that asks for a tunnel too.
    refuses_tunnels: Arc<AtomicBool>,
}

impl Connector {
    /// Opens a WebSocket, by the better protocol where it is spoken: who does not know it takes the other one of the two.
    async fn socket(&self) -> Result<(Socket, &'static str), UpgradeError> {
        if !self.refuses_tunnels.load(Ordering::Relaxed) {
            match upgrade(&self.api_server, &self.path, &[TUNNEL, CHANNELS]).await {
                Err(error) if error.is_of_protocol() => tracing::debug!(%error, "there are no tunnels"),
                answered => return answered,
            }
        }
        let opened = upgrade(&self.api_server, &self.path, &[CHANNELS]).await?;
        self.refuses_tunnels.store(true, Ordering::Relaxed);
        Ok(opened)
    }

    async fn stream(&self) -> Result<Stream, BoxError> {
        let (socket, protocol) = self.socket().await?;
        Ok(match protocol {
            TUNNEL => self.tunnel(socket).await?,
            _ => Messages::new(socket, Box::new(ForwardedPort::new())),
        })
    }

    async fn tunnel(&self, socket: Socket) -> io::Result<Stream> {
        Messages::open(socket, Box::new(TunnelledPort::new(self.port)) as _).await
    }
}

/// A stream to the port, by either protocol.
type Stream = Messages<Box<dyn Protocol + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let this = self.clone();
        async move { this.stream().await.map(TokioIo::new) }.boxed()
    }
}
