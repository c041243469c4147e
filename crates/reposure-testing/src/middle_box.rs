//! What stands between a client and a real API server and looks into HTTP, as gateways and balancers of companies do: it ends TLS,
//! with a certificate of an authority of its own, and begins it anew.
//!
//! Each of a client's connections has one of its own to the API server.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1::{self as client, SendRequest},
    server::conn::http1 as server,
    service::service_fn,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::Mutex as AsyncMutex,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    any_certificate,
    api_server::{
        Failure, How,
        behaviour::due,
        forward::{Body, BoxError, finish, flip, html, refusal},
    },
    registry::tls::Identity,
};

/// A request that came to a middle box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its method.
    pub method: http::Method,
    /// Its path and query.
    pub path: String,
    /// How long its body is, in bytes.
    pub length: u64,
    /// Whether the middle box took it; else it has answered or ended it by itself.
    pub taken: bool,
}

/// A middle box that listens until it is dropped.
#[derive(Debug)]
pub struct MiddleBox {
    address: SocketAddr,
    authority: String,
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    largest_body: Option<u64>,
    failures: Vec<Failure>,
    passed: Vec<Passed>,
}

type Sender = Arc<AsyncMutex<SendRequest<Body>>>;

impl MiddleBox {
    /// Listens on loopback before the API server at `server`, whose certificate it does not look at.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let Identity { acceptor, authority, .. } = Identity::new(address, &[])?;
        let shared = Arc::new(Shared { server, state: Mutex::default() });
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, authority, shared, task })
    }

    /// Returns where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the PEM of the authority that its certificate is of.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Lets it refuse bodies of more bytes, as nginx does by default above 1 MiB; none for all sizes.
    pub fn limit_bodies(&self, largest: Option<u64>) {
        self.shared.state().largest_body = largest;
    }

    /// Makes requests fail. A WebSocket that fails does so behind the API server's yes: it ends there ([`How::CutAfter`]), behind so
    /// many bytes from the pod ([`How::CutWithin`]), or nothing comes of it ([`How::Mute`]).
    pub fn fail(&self, failure: Failure) {
        self.shared.state().failures.push(failure);
    }

    /// Forgets the failures that are not due yet, and returns how many requests they would have hit.
    pub fn heal(&self) -> usize {
        self.shared.state().failures.drain(..).map(|failure| failure.times).sum()
    }

    /// Returns the requests that came.
    pub fn passed(&self) -> Vec<Passed> {
        self.shared.state().passed.clone()
    }
}

impl Drop for MiddleBox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request, and returns its fate: a refusal, or the failure that is due.
    fn judge(&self, request: &Request<Incoming>) -> Result<Option<How>, Box<Response<Body>>> {
        let mut state = self.state();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let length = request.body().size_hint().exact().unwrap_or_default();
        let failure = due(&mut state.failures, &path);
        let too_large = state.largest_body.is_some_and(|largest| length > largest);
        let taken = !too_large && failure.is_none();
        state.passed.push(Passed { method: request.method().clone(), path, length, taken });
        if too_large {
            return Err(html(StatusCode::PAYLOAD_TOO_LARGE).into());
        }
        failure.and_then(refusal).map_or(Ok(failure), |answer| Err(answer.into()))
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, tls.clone(), Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) -> Result<(), BoxError> {
    stream.set_nodelay(true)?;
    let client = tls.accept(stream).await?;
    let server = TcpStream::connect(shared.server).await?;
    server.set_nodelay(true)?;
    let connector = TlsConnector::from(Arc::new(any_certificate::client_config()?));
    let server = connector.connect(shared.server.ip().into(), server).await?;
    let (sender, connection) = client::handshake(TokioIo::new(server)).await?;
    let sender = Arc::new(AsyncMutex::new(sender));
    let service = service_fn(|request| answer(Arc::clone(&shared), Arc::clone(&sender), request));
    let serving = server::Builder::new().serve_connection(TokioIo::new(client), service).with_upgrades();
    // It ends with its sender, or where it was upgraded: the client's connection goes on until it has its answer.
    tokio::spawn(connection.with_upgrades());
    serving.await?;
    Ok(())
}

async fn answer(
    shared: Arc<Shared>,
    sender: Sender,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    let failure = match shared.judge(&request) {
        Ok(failure) => failure,
        Err(answer) => return Ok(*answer),
    };
    match failure {
        Some(How::CutBefore) => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        Some(How::Hang) => return std::future::pending().await,
        _ => {}
    }
    let from_client = request.headers().contains_key(header::UPGRADE).then(|| upgrade::on(&mut request));
    let flips = failure.filter(|how| matches!(how, How::Flip(_)) && !request.body().is_end_stream());
    let request = request.map(|body| {
        let body = body.map_err(BoxError::from).boxed_unsync();
        if let Some(How::Flip(offset)) = flips { flip(body, offset) } else { body }
    });
    let mut response = sender.lock().await.send_request(request).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(from_client) = from_client
    {
        tokio::spawn(join(from_client, upgrade::on(&mut response), failure));
        return Ok(response.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync()));
    }
    finish(response, failure.filter(|_| flips.is_none()), "")
}

/// Copies between both sides of a connection that was upgraded, or lets it fail.
async fn join(client: OnUpgrade, server: OnUpgrade, failure: Option<How>) -> Result<(), BoxError> {
    let (mut client, mut server) = (TokioIo::new(client.await?), TokioIo::new(server.await?));
    match failure {
        Some(How::CutAfter) => {}
        Some(How::Mute) => return std::future::pending().await,
        Some(How::CutWithin(bytes)) => {
            let (from_server, mut to_server) = tokio::io::split(server);
            let (mut from_client, mut to_client) = tokio::io::split(client);
            let mut first = from_server.take(bytes as u64);
            tokio::select! {
                done = tokio::io::copy(&mut first, &mut to_client) => drop(done?),
                done = tokio::io::copy(&mut from_client, &mut to_server) => drop(done?),
            }
        }
        _ => drop(tokio::io::copy_bidirectional(&mut client, &mut server).await?),
    }
    Ok(())
}
