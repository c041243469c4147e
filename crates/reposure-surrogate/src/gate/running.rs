//! A running gate.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use reposure_parcel::{
    gate::{ALIVE, READY},
    wire::Right,
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    answer,
    certificate::Certificate,
    forward::Behind,
    options::GateOptions,
    passwords::{Passwords, Refused},
};
use crate::{
    answer::{self as surrogate_answer, Answer},
    app, body,
    server::{Listener, Protocol},
};

/// The most connections of clients at once: every node of a large cluster may pull some layers side by side. With two buffers of 128 KiB
/// each they fit into what the gate's container may take.
const CONNECTIONS: usize = 512;
/// How long requests may go on when the gate is to end: within the 30 s that Kubernetes gives a pod.
const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// Why a gate does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// There is no certificate that can be shown.
    #[error("cannot serve TLS")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The users are not known.
    #[error("cannot tell who may come in")]
    Users(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A port cannot be listened on.
    #[error("cannot serve")]
    Listen(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running gate. It ends when this is dropped, without grace.
pub struct RegistryGate {
    address: SocketAddr,
    health_address: SocketAddr,
    ending: CancellationToken,
    server: AbortOnDropHandle<()>,
    _health: AbortOnDropHandle<()>,
    _tasks: AbortOnDropHandle<()>,
}

/// What all requests share.
struct Door {
    passwords: Option<Passwords>,
    behind: Behind,
    ending: CancellationToken,
}

impl RegistryGate {
    /// Starts to serve. A registry that does not answer yet is no error.
    ///
    /// # Errors
    /// When the certificate or the users cannot be read, or an address cannot be listened on.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn start(options: GateOptions) -> Result<Self, GateError> {
        let (listen, health) = (options.listen_address(), options.health_address());
        let certificate = match options.tls {
            None => None,
            Some(folder) => {
                let certificate = Certificate::new(folder).await;
                Some(certificate.map_err(|error| GateError::Certificate(error.into()))?)
            }
        };
        let passwords = match options.users {
            None => None,
            Some(folder) => {
                Some(Passwords::new(folder).await.map_err(|error| GateError::Users(error.into()))?)
            }
        };
        let protocol = certificate.as_ref().map_or(Protocol::Plain, |own| Protocol::Tls(own.current()));
        let listener = bind(listen, protocol).await?.with_connections(CONNECTIONS);
        let health = bind(health, Protocol::Plain).await?;
        let behind = Behind::new(options.registry_port, certificate.is_some());
        let door = Arc::new(Door { passwords, behind, ending: CancellationToken::new() });
        Ok(Self::serve(&door, certificate, listener, health))
    }

    fn serve(
        door: &Arc<Door>,
        certificate: Option<Certificate>,
        listener: Listener,
        health: Listener,
    ) -> Self {
        let (address, health_address) = (listener.address(), health.address());
        let ending = door.ending.clone();
        let (clients, kubelet) = (door.clone(), door.clone());
        let server = listener.serve(ending.clone(), move |request, _| {
            let door = clients.clone();
            async move { door.answer(request).await }
        });
        // It tells that the gate is ending, so it does not end with it.
        let health = health.serve(CancellationToken::new(), move |request, _| {
            let door = kubelet.clone();
            async move { door.health(&request).await }
        });
        Self {
            address,
            health_address,
            ending,
            server: AbortOnDropHandle::new(tokio::spawn(server)),
            _health: AbortOnDropHandle::new(tokio::spawn(health)),
            _tasks: AbortOnDropHandle::new(tokio::spawn(look_after(door.clone(), certificate))),
        }
    }

    /// Returns where clients are served.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where the kubelet is served.
    pub const fn health_address(&self) -> SocketAddr {
        self.health_address
    }

    /// Ends with grace: lets nobody in any more, and the requests under way go on for at most 25 s.
    ///
    /// # Cancel safety
    /// Dropping the future ends without grace.
    pub async fn stop(self) {
        self.ending.cancel();
        let _ = timeout(DRAIN_DEADLINE, self.server).await;
    }
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match self.admit(&request).await {
            Ok(()) => self.behind.pass(request).await,
            Err(refusal) => {
                let (parts, incoming) = request.into_parts();
                // What the client is sending already is read, so that it sees why it is of no use.
                body::drain(&parts.headers, incoming.map_err(Into::into).boxed_unsync());
                refusal
            }
        }
    }

    async fn admit(&self, request: &Request<Incoming>) -> Result<(), Answer> {
        let Some(passwords) = &self.passwords else { return Ok(()) };
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        // As with Distribution, whoever looks whether anything is there needs no password.
        if is_reading && request.uri().path() == "/" {
            return Ok(());
        }
        match passwords.admit(request.headers()).await {
            Ok(Right::Pull) if !is_reading => Err(answer::denied()),
            Ok(_) => Ok(()),
            Err(Refused::Unknown) => Err(answer::unauthorized()),
            Err(Refused::Busy) => Err(answer::busy()),
        }
    }

    async fn health(&self, request: &Request<Incoming>) -> Answer {
        let is_so = match (request.method(), request.uri().path()) {
            (&Method::GET, ALIVE) => true,
            (&Method::GET, READY) => !self.ending.is_cancelled() && self.behind.is_ready().await,
            _ => return surrogate_answer::empty(StatusCode::NOT_FOUND),
        };
        surrogate_answer::empty(if is_so { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
    }
}

/// Looks after what changes with time.
async fn look_after(door: Arc<Door>, mut certificate: Option<Certificate>) {
    let mut ticks = app::ticks();
    loop {
        ticks.tick().await;
        if let Some(certificate) = &mut certificate {
            certificate.refresh(Instant::now()).await;
        }
        if let Some(passwords) = &door.passwords {
            passwords.refresh().await;
        }
    }
}

async fn bind(address: SocketAddr, protocol: Protocol) -> Result<Listener, GateError> {
    Listener::bind(address, protocol).await.map_err(|error| GateError::Listen(error.into()))
}
