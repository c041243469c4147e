//! A stand-in for the API server's pod proxy, port-forward and exec, and for objects that nobody watches, with the traps of the real one and failures on demand.
//!
//! Like the real one it strips `Authorization`, asks for gzip where no encoding is named, prefixes `Location`, answers by
//! itself with a `Status` when the pod is away, and does not verify the pod's certificate.

pub(crate) mod behaviour;
mod exec;
pub(crate) mod forward;
mod objects;
mod port_forward;
mod spdy;
mod token;
mod tunnel;
mod websocket;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::registry::tls::Identity;

pub use behaviour::{Behaviour, Failure, How, Tunnels, Version};

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: http::Method,
    /// Its path behind the proxy's prefix, or the whole path of a request to the API server itself.
    pub path: String,
    /// Whether the pod was asked without TLS.
    pub clear: bool,
    /// How the client named itself to the API server.
    pub authorization: Option<String>,
}

/// A pod proxy that listens until it is dropped.
#[derive(Debug)]
pub struct FakeApiServer {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) pod: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) behaviour: Behaviour,
    pub(crate) failures: Vec<Failure>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) objects: objects::Objects,
    pub(crate) messages: Messages,
    /// What came from the pod in each WebSocket, where that is kept.
    pub(crate) records: Vec<Vec<u8>>,
}

/// What came in each `WebSocket`, but for tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// How many messages there were.
    pub count: u64,
    /// How many bytes were in them, without the numbers of their channels.
    pub bytes: u64,
}

/// Where a process in the pod would lead to.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    /// The name of a socket in the abstract namespace.
    pub(crate) socket: String,
    /// What the process would say first.
    pub(crate) greeting: String,
    /// What it would say to the socket first.
    pub(crate) word: Vec<u8>,
}

impl Messages {
    pub(crate) fn add(&mut self, message: &[u8]) {
        self.count += 1;
        self.bytes += message.len() as u64;
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeApiServer {
    /// Listens on loopback, over plain HTTP if it does not speak HTTP/2 alone, and takes every pod for the TLS server at `pod`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(pod: SocketAddr, behaviour: Behaviour) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let state = Mutex::new(State { behaviour, ..State::default() });
        let shared = Arc::new(Shared { address: listener.local_addr()?, pod, state });
        let task = if shared.state().behaviour.http2_only {
            let tls = http2_over_tls(shared.address)?;
            tokio::spawn(accept_http2(listener, tls, shared.clone()))
        } else {
            tokio::spawn(accept(listener, shared.clone()))
        };
        Ok(Self { shared, task: task.abort_handle() })
    }

    /// Returns its address as a kubeconfig has it, with the base path.
    pub fn url(&self) -> String {
        let behaviour = self.shared.state().behaviour.clone();
        let scheme = if behaviour.http2_only { "https" } else { "http" };
        format!("{scheme}://{}{}", self.shared.address, behaviour.base_path)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Lets those who `exec` into the pod say `greeting` first, `word` to the socket of this name in the abstract namespace, and then
    /// copy between the two; without it no process starts.
    pub fn lead_sessions(&self, socket: &str, greeting: &str, word: &[u8]) {
        let sessions = Sessions { socket: socket.into(), greeting: greeting.into(), word: word.into() };
        self.shared.state().sessions = Some(sessions);
    }

    /// Stores an object, which is at `path`: `/api/v1/namespaces/NS/secrets/NAME`.
    pub fn put_object(&self, path: &str, object: Value) {
        self.shared.state().objects.put(path, object);
    }

    /// Returns the object that is at `path` now: one that was stored, or applied or created since.
    pub fn object(&self, path: &str) -> Option<Value> {
        self.shared.state().objects.get(path).cloned()
    }

    /// Makes the next requests that it fits fail.
    pub fn fail(&self, failure: Failure) {
        self.shared.state().failures.push(failure);
    }

    /// Forgets the failures that are not due yet, and returns how many requests they would have hit.
    pub fn heal(&self) -> usize {
        self.shared.state().failures.drain(..).map(|failure| failure.times).sum()
    }

    /// Returns the requests that came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// Returns what came in each `WebSocket`, all together.
    pub fn messages(&self) -> Messages {
        self.shared.state().messages
    }

    /// Returns what came from the pod in each WebSocket so far, behind a greeting.
    pub fn records(&self) -> Vec<Vec<u8>> {
        self.shared.state().records.clone()
    }

    /// Forgets the requests that came.
    pub fn forget(&self) {
        self.shared.state().seen.clear();
    }
}

impl Drop for FakeApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| forward::answer(shared.clone(), request));
            // A service that fails drops the connection, which is what a cut looks like.
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
        while connections.try_join_next().is_some() {}
    }
}

fn http2_over_tls(address: SocketAddr) -> io::Result<TlsAcceptor> {
    let mut config = rustls::ServerConfig::clone(Identity::new(address, &[])?.acceptor.config());
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config).into())
}

async fn accept_http2(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            // Who does not offer HTTP/2 gets an alert.
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|request: Request<Incoming>| forward::answer(shared.clone(), request));
            let connection = http2::Builder::new(TokioExecutor::new());
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}
