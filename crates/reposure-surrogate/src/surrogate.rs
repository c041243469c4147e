//! A running surrogate.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures::future::join_all;
use reposure_parcel::{
    config::{Config, Scheme},
    limits,
};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    access::{Gate, GateError, TicketOffice},
    app::{self, App},
    kind::Kind,
    results::Results,
    server::{self, ListenError, Listener, Metrics, Protocol, SessionListener, SocketError},
    tls::{self, TlsError},
    uploads::{Budget, Forms, Uploads},
    upstream::{Client, Health, Registry, RegistryError},
};

/// How often the registry is asked whether it is well.
const HEALTH: Duration = Duration::from_secs(10);
/// How long open uploads may go on when the surrogate is to end.
const UPLOADS_DEADLINE: Duration = Duration::from_secs(15);
/// How long requests may go on after that. Both are well within the 30 s that Kubernetes gives a pod.
const REQUESTS_DEADLINE: Duration = Duration::from_secs(5);

/// Why a surrogate does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Nobody could be let in.
    #[error("cannot decide who may come in")]
    Access(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no TLS.
    #[error("cannot serve TLS")]
    Tls(#[source] TlsError),
    /// A port or socket cannot be listened on.
    #[error("cannot serve")]
    Listen(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The registry cannot be reached as configured.
    #[error("cannot reach the registry")]
    Registry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file with the pod's UID cannot be read.
    #[error("cannot read the pod's UID at {path}")]
    PodUid {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

/// A running surrogate. It ends when this is dropped, without grace.
pub struct Surrogate {
    app: Arc<App>,
    address: SocketAddr,
    status_address: SocketAddr,
    ending: CancellationToken,
    servers: Vec<AbortOnDropHandle<()>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Surrogate {
    /// Starts to serve, with as many threads as the runtime has.
    ///
    /// # Errors
    /// When the configuration is impossible or an address cannot be listened on. A registry that cannot be reached, and
    /// credentials and authorities that are missing, are no errors: they may come.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let gate = Gate::new(&config)?;
        let kind =
            Kind::new(config.upstream.kind.clone()).map_err(|error| StartError::Registry(error.into()))?;
        let pod_uid = pod_uid(config.pod_uid_file.as_ref()).await?;
        let tls = tls::server(&config.registry).map_err(StartError::Tls)?;
        let registry = Arc::new(Registry::new(&config.upstream).await?);
        let api = Listener::bind(config.listen, Protocol::Either(TlsAcceptor::from(tls))).await?;
        let status = Listener::bind(config.status_listen, Protocol::Plain).await?;
        let sessions = config.session_socket.as_deref().map(SessionListener::bind).transpose()?;
        let client = Client::new(registry.clone());
        let forms = Forms::new(config.upstream.upload, &config.upstream.host);
        let app = Arc::new(App {
            namespace: config.namespace,
            name: config.registry,
            pod_uid,
            gate,
            // What comes over TLS goes over TLS.
            tickets: if config.upstream.scheme == Scheme::Http { TicketOffice::new() } else { None },
            registry: registry.clone(),
            certificate: Some(registry.certificate()),
            health: Health::new(config.upstream.host, kind.registry_kind()),
            kind,
            uploads: Arc::new(Uploads::new(client.clone(), forms, Budget::new(), limits::PLACES)),
            client,
            results: Results::default(),
            metrics: Metrics::new(api.accepted()),
        });
        Ok(Self::serve(app, registry, api, status, sessions))
    }

    fn serve(
        app: Arc<App>,
        registry: Arc<Registry>,
        api: Listener,
        status: Listener,
        sessions: Option<SessionListener>,
    ) -> Self {
        let ending = CancellationToken::new();
        let (address, status_address) = (api.address(), status.address());
        let (api_app, status_app) = (app.clone(), app.clone());
        let api = api.serve(ending.clone(), move |request, wrapping| {
            server::answer_api(api_app.clone(), request, wrapping)
        });
        let status = status.serve(ending.clone(), move |request, _| {
            std::future::ready(server::answer_status(&status_app, &request))
        });
        let mut servers =
            vec![AbortOnDropHandle::new(tokio::spawn(api)), AbortOnDropHandle::new(tokio::spawn(status))];
        servers.extend(sessions.map(|sessions| {
            let app = app.clone();
            let respond = move |request| server::answer_session(app.clone(), request);
            AbortOnDropHandle::new(tokio::spawn(sessions.serve(ending.clone(), respond)))
        }));
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(look_after(app.clone(), registry))),
            AbortOnDropHandle::new(tokio::spawn(ask_health(app.clone()))),
        ];
        Self { app, address, status_address, ending, servers, _tasks: tasks }
    }

    /// Returns where the API is served.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where status and liveness are served.
    pub const fn status_address(&self) -> SocketAddr {
        self.status_address
    }

    /// Ends with grace: refuses new uploads, lets open ones and requests go on for at most 20 s, and closes.
    ///
    /// # Cancel safety
    /// Dropping the future ends without grace.
    pub async fn stop(self) {
        self.app.uploads.refuse_new();
        // Whoever commits in this time needs new connections, so the port stays open.
        let _ = timeout(UPLOADS_DEADLINE, self.app.uploads.all_ended()).await;
        self.ending.cancel();
        let _ = timeout(REQUESTS_DEADLINE, join_all(self.servers)).await;
    }
}

/// Looks after what changes with time.
async fn look_after(app: Arc<App>, registry: Arc<Registry>) {
    let mut ticks = app::ticks();
    loop {
        ticks.tick().await;
        app.sweep();
        registry.refresh().await;
        app.gate.refresh().await;
    }
}

async fn ask_health(app: Arc<App>) {
    loop {
        app.health.ask(&app.registry).await;
        sleep(HEALTH).await;
    }
}

async fn pod_uid(file: Option<&PathBuf>) -> Result<String, StartError> {
    let Some(path) = file else { return Ok(String::new()) };
    let text = tokio::fs::read_to_string(path).await;
    text.map(|text| text.trim().into()).map_err(|source| StartError::PodUid { path: path.clone(), source })
}

impl From<GateError> for StartError {
    fn from(error: GateError) -> Self {
        Self::Access(error.into())
    }
}

impl From<ListenError> for StartError {
    fn from(error: ListenError) -> Self {
        Self::Listen(error.into())
    }
}

impl From<SocketError> for StartError {
    fn from(error: SocketError) -> Self {
        Self::Listen(error.into())
    }
}

impl From<RegistryError> for StartError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error.into())
    }
}
