//! Passing requests on to the registry, and its answers back.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use reposure_oci::transport::{self, Body, stalling};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{answer, headers};
use crate::{announced::announced, answer::Answer};

/// How long the registry may take to accept a connection on loopback.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long a request's body may bring nothing: a surrogate keeps one open for 5 minutes, for a client to come back.
const BODY_DEADLINE: Duration = Duration::from_secs(6 * 60);
/// How long the registry may take to answer once it has a request whole: on an object store it copies a blob to its place then.
const ANSWER_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// How long an idle connection to the registry is kept, and how many of them.
const IDLE_DEADLINE: Duration = Duration::from_secs(60);
const IDLE_CONNECTIONS: usize = 64;
/// The most that is read from a connection at once, in bytes.
const READ_BUFFER: usize = 128 << 10;
/// How much of an answer the kernel may hold for the gate, in bytes. Left to itself it takes megabytes, with which a pull is 4 to 8 %
/// more work, measured without pacing. Nothing is far on loopback, so less is enough: two reads.
const RECEIVE_BUFFER: usize = 2 * READ_BUFFER;
/// How long the registry may take to say that it is there: less than the kubelet waits.
const READY_DEADLINE: Duration = Duration::from_secs(2);

/// The registry behind the gate.
#[derive(Clone)]
pub(super) struct Behind {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
    is_over_tls: bool,
}

impl Behind {
    /// Prepares the way to a port on loopback, for clients who come over TLS or not.
    pub(super) fn new(port: u16, is_over_tls: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_recv_buffer_size(Some(RECEIVE_BUFFER));
        connector.set_connect_timeout(Some(CONNECT_DEADLINE));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_DEADLINE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(READ_BUFFER)
            .build(connector);
        Self { client, address: (Ipv4Addr::LOCALHOST, port).into(), is_over_tls }
    }

    /// Passes a request on as it comes, and returns the answer as it comes.
    pub(super) async fn pass(&self, request: Request<Incoming>) -> Answer {
        if !is_known(request.method()) {
            return answer::unsupported();
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (request, sent) = self.prepare(request);
        let answered = tokio::select! {
            answered = self.client.request(request) => answered,
            () = overdue(sent) => {
                tracing::warn!(%method, path, "the registry did not answer in time");
                return answer::late();
            }
        };
        match answered {
            Ok(response) => to_client(response),
            Err(error) => {
                tracing::warn!(%method, path, error = crate::answer::chain(&error), "no answer of the registry");
                answer::unreachable()
            }
        }
    }

    /// Tells whether the registry answers.
    pub(super) async fn is_ready(&self) -> bool {
        let request = Request::get(self.uri(&Uri::from_static("/v2/"))).body(transport::empty());
        let Ok(request) = request else { return false };
        let answered = timeout(READY_DEADLINE, self.client.request(request)).await;
        matches!(answered, Ok(Ok(response)) if response.status() == StatusCode::OK)
    }

    /// Makes the registry's request of a client's, and tells when the client's body was read to its end.
    fn prepare(&self, request: Request<Incoming>) -> (Request<Body>, oneshot::Receiver<()>) {
        let (mut parts, incoming) = request.into_parts();
        headers::to_registry(&mut parts.headers, self.is_over_tls);
        parts.uri = self.uri(&parts.uri);
        parts.version = http::Version::HTTP_11;
        parts.extensions.clear();
        let (body, sent) = announced(stalling(incoming.map_err(Into::into).boxed_unsync(), BODY_DEADLINE));
        (Request::from_parts(parts, body), sent)
    }

    /// Returns the same path at the registry.
    fn uri(&self, uri: &Uri) -> Uri {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        format!("http://{}{path}", self.address).parse().unwrap_or_default()
    }
}

/// Tells whether registries know a method; `CONNECT` and what upgrades would open another protocol.
fn is_known(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        .contains(method)
}

async fn overdue(sent: oneshot::Receiver<()>) {
    // Dropped, or read to its end: the same here.
    let _ = sent.await;
    sleep(ANSWER_DEADLINE).await;
}

fn to_client(response: Response<Incoming>) -> Answer {
    let (mut parts, incoming) = response.into_parts();
    headers::to_client(&mut parts.headers);
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    let body = stalling(incoming.map_err(Into::into).boxed_unsync(), BODY_DEADLINE);
    Response::from_parts(parts, body)
}
