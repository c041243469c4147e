//! Connections to the API server, by a kubeconfig.
//!
//! kube's own layers on connections of ours, which are the same behind a proxy.

use std::{fmt, sync::Arc, time::Duration};

use http::{Response, Uri};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{self, connect::Connection},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body as KubeBody, ClientBuilder, ConfigExt as _, DynBody},
};
use reposure_oci::transport::BoxError;
use reposure_parcel::session::{CONNECTION_WINDOW, FRAME, PING, PONG_DEADLINE, SEND_BUFFER, STREAM_WINDOW};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt as _};

use super::{
    forward_proxy::{named, over_tls, shown, socks, tunnel},
    greedy::greedy,
    negotiated::Negotiated,
    pool::Pool,
    replay::Replay,
    retry_after::RetryAfter,
    spare::Spare,
    tcp::tcp,
};

/// The deadline for a TCP connection to the API server, or the proxy before it: of all its addresses together.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: less than the 90 s of Go's HTTP server and transports, so that we close first.
const IDLE: Duration = Duration::from_secs(80);
/// The read buffer of a connection: small enough for the memory allocator to use it again, and for a core's cache.
const READ_BUFFER: usize = 64 << 10;

/// Why there can be no connection to an API server.
#[derive(Debug, thiserror::Error)]
#[error("the kubeconfig gives no usable connection to {url}")]
pub struct ApiServerError {
    /// The API server's address.
    pub url: String,
    /// What is wrong.
    #[source]
    pub source: BoxError,
}

/// A pool of HTTP/1.1 connections to one API server, or one of HTTP/2 where nothing else is spoken, with the credentials of a kubeconfig.
#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    expect: Arc<dyn Fn(usize) + Send + Sync>,
    leave_idle: Arc<dyn Fn(Instant) + Send + Sync>,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ApiServer").finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Makes a pool; connects only when there is a request.
    ///
    /// # Errors
    /// When certificates or credentials of the kubeconfig cannot be used.
    pub fn new(mut config: Config) -> Result<Self, ApiServerError> {
        config.default_retry = false; // retries have a visible deadline of our own
        let url = config.cluster_url.to_string();
        connect(&config).map_err(|source| ApiServerError { url, source })
    }

    /// Returns a kube client that shares the pool.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Begins to make so many connections, for requests that are to come within seconds. Over a long way each takes two round trips,
    /// which pass while something else is waited for. Those that nobody needs within 10 s are closed.
    pub fn expect(&self, connections: usize) {
        (self.expect)(connections);
    }

    /// Uses no connection again that there was at `sent`, when a request went out whose answer did not come.
    pub(super) fn leave_idle(&self, sent: Instant) {
        (self.leave_idle)(sent);
    }
}

/// Connects by TCP, to the proxy where the kubeconfig or the environment wants one.
fn connect(config: &Config) -> Result<ApiServer, BoxError> {
    let tcp = tcp(CONNECT_DEADLINE);
    let Some(proxy) = &config.proxy_url else { return pool(config, tcp) };
    match proxy.scheme_str() {
        Some("http") => pool(config, named(proxy, tunnel(proxy, tcp)?)),
        Some("https") => pool(config, named(proxy, tunnel(proxy, over_tls(config, tcp)?)?)),
        Some("socks5" | "socks5h") => pool(config, named(proxy, socks(proxy, tcp))),
        _ => Err(format!("{} is no proxy over http, https or socks5", shown(proxy)).into()),
    }
}

/// Makes a pool of the connections that `connector` makes.
fn pool<C>(config: &Config, connector: C) -> Result<ApiServer, BoxError>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let connector = Spare::new(Negotiated::new(config, connector)?);
    let (spare, url) = (connector.clone(), config.cluster_url.clone());
    let pool: Pool<_, KubeBody> = Pool::new(builder(), connector.map_response(greedy));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(Replay(pool.clone()))
        .map_response(|response: Response<hyper::body::Incoming>| {
            response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>)
        });
    let service = RetryAfter(service);
    let client = ClientBuilder::new(service, config.default_namespace.clone()).build();
    Ok(ApiServer {
        client,
        expect: Arc::new(move |connections| spare.expect(connections, &url)),
        leave_idle: Arc::new(move |sent| pool.leave(sent)),
    })
}

/// Returns how HTTP is spoken on a connection, and how long an idle one is kept.
fn builder() -> legacy::Builder {
    let mut builder = legacy::Builder::new(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(READ_BUFFER)
        .timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_frame_size(FRAME)
        .http2_max_send_buf_size(SEND_BUFFER)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PONG_DEADLINE);
    builder
}
