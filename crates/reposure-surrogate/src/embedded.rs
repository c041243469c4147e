//! A surrogate within the process of its client, which reaches the registry by itself.

use std::{fmt, sync::Arc, time::Duration};

use http::{Request, Response};
use prometheus_client::metrics::counter::Counter;
use reposure_oci::{
    Body, DirectTransport, Transport,
    registry::{self, Limits},
};
use reposure_parcel::{config::UploadStrategy, kind::RegistryKind, status::Reason};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    access::Gate,
    answer::chain,
    app::{self, App},
    kind::Kind,
    results::Results,
    server::{self, Metrics},
    uploads::{Budget, Forms, Uploads},
    upstream::{Client, FixedRegistry, Health},
};

/// How long the registry may take for its first answer: longer than a connection to it may take, so that it is known what failed.
const FIRST_ANSWER: Duration = Duration::from_secs(15);
/// How long after the first try another one is made: for a link that breaks, and not for a host that is silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// A surrogate without ports. It ends when this is dropped, without grace.
///
/// Whoever holds it may do all that the registry lets the transport's credentials do: there is no network between, and no token.
pub struct Embedded {
    app: Arc<App>,
    _task: AbortOnDropHandle<()>,
}

impl Embedded {
    /// Begins to act for the registry of the `Registry` called `name` in `namespace`, which `transport` leads to and takes
    /// blobs as `upload` says. `kind` is what it is known to be; its own API is used only where it goes by the same credentials.
    ///
    /// # Errors
    /// When the registry does not answer within 15 s, or what answers is none. One that does not take the transport's credentials
    /// is no error: it may let anyone pull.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn start(
        namespace: &str,
        name: &str,
        transport: DirectTransport,
        upload: UploadStrategy,
        kind: Option<RegistryKind>,
    ) -> Result<Self, registry::Error> {
        let host = transport.endpoint().host().to_owned();
        let forms = Forms::new(upload, &host);
        let health = Health::new(host, kind);
        let registry: Arc<dyn Transport> = Arc::new(FixedRegistry(transport));
        ask(&registry, &health).await?;
        let client = Client::new(registry.clone());
        let app = Arc::new(App {
            namespace: namespace.into(),
            name: name.into(),
            pod_uid: String::new(),
            // No port leads to it.
            gate: Gate::Open,
            tickets: None,
            registry,
            certificate: None,
            health,
            // No way is long here, and a process may end at any time.
            uploads: Arc::new(Uploads::new(client.clone(), forms, Budget::small(), 0)),
            client,
            kind: kind.map_or(Kind::Distribution, Kind::embedded),
            results: Results::default(),
            metrics: Metrics::new(Counter::default()),
        });
        let task = AbortOnDropHandle::new(tokio::spawn(look_after(app.clone())));
        Ok(Self { app, _task: task })
    }

    /// Answers a request of the surrogate's API, whose `Content-Length` has to be that of its body.
    ///
    /// # Cancel safety
    /// Dropping the future or the answer's body ends the exchange, as the end of a connection does.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        server::answer_embedded(self.app.clone(), request).await
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let App { namespace, name, .. } = &*self.app;
        formatter
            .debug_struct("Embedded")
            .field("namespace", namespace)
            .field("name", name)
            .finish_non_exhaustive()
    }
}

/// Asks the registry whether it is there.
async fn ask(registry: &Arc<dyn Transport>, health: &Health) -> Result<(), registry::Error> {
    let limits = Limits { call: FIRST_ANSWER, attempts: 2, patience: PATIENCE, ..Limits::default() };
    match Client::with_limits(registry.clone(), limits).ping().await {
        Ok(_) => health.note(Reason::Ok, None),
        Err(error) if error.is_denied() => health.note(Reason::Unauthorized, Some(chain(&error))),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Looks after what changes with time.
async fn look_after(app: Arc<App>) {
    let mut ticks = app::ticks();
    loop {
        ticks.tick().await;
        app.sweep();
    }
}
