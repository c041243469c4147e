//! The channel `port-forward`: streams to the surrogate's port, each in a WebSocket to the pod's `portforward` subresource.
//!
//! On each goes what goes through the channel `proxy`: HTTP/1.1 over TLS. The kubelet and the container runtime are on the way. It
//! needs the right to `create` (and, for a WebSocket, to `get`) `pods/portforward` alone.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use kube::core::Status;
use reposure_oci::{Body, transport};
use tokio::time::timeout;
use tower::Service;

use super::{ApiServer, Channel, ChannelError, Hop, over_tls::OverTls, segment::segment, tunnel::Tunnel};

/// How long the API server may take to open a stream; what it takes to reach the pod comes behind that.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
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

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        async {
            let error = match self.0.send(request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match opening(&*error) {
                // As through the proxy, the API server answers in place of the pod.
                Some(OpenError::Upgrade(kube::Error::Api(status))) => Ok(answer(status)),
                Some(OpenError::Upgrade(kube::Error::Auth(_))) => {
                    Err(ChannelError { hop: Hop::Credentials, source: error })
                }
                Some(_) => Err(ChannelError { hop: Hop::ApiServer, source: error }),
                None => Err(ChannelError::of_surrogate(error)),
            }
        }
        .boxed()
    }
}

/// Finds out whether there was no stream at all.
fn opening<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a OpenError> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

fn answer(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(transport::full(serde_json::to_vec(status).unwrap_or_default()));
    *response.status_mut() = code;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("the API server does not forward the port")]
    Upgrade(#[from] kube::Error),
    #[error("the path {0} cannot be asked for")]
    Path(Arc<str>, #[source] http::Error),
    #[error("the API server did not forward the port within {} s", OPEN_DEADLINE.as_secs())]
    Timeout,
}

/// Opens streams to the port.
#[derive(Clone, Debug)]
struct Connector {
    api_server: ApiServer,
    path: Arc<str>,
}

impl Connector {
    async fn open(self) -> Result<TokioIo<Tunnel>, OpenError> {
        let request = Request::get(&*self.path).body(Vec::new());
        let request = request.map_err(|source| OpenError::Path(self.path.clone(), source))?;
        let client = self.api_server.client();
        let connection = timeout(OPEN_DEADLINE, client.connect(request)).await;
        let connection = connection.map_err(|_| OpenError::Timeout)??;
        Ok(TokioIo::new(Tunnel::new(connection.into_stream())))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Tunnel>;
    type Error = OpenError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        self.clone().open().boxed()
    }
}
