//! The ladder of channels: the first one that leads to the surrogate is taken.
//!
//! Nobody is asked which rights there are: the hello through a channel is the question, and costs no round trip of its own. What
//! the surrogate or the pod is to blame for is the same on every channel, so that only a channel which is closed leads to the next.

use std::{fmt, sync::Arc};

use clap::ValueEnum;
use reposure_client::{
    channel::{ApiServer, Channel, PortForward, Proxy},
    session::{Session, SessionError},
    token::TokenSource,
};
use reposure_parcel::wire::Right;

/// A way to the surrogate, or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChannelChoice {
    /// The first of the others that leads to it
    #[default]
    Auto,
    /// Requests to the pod's `proxy` subresource
    Proxy,
    /// Streams of the pod's `portforward` subresource
    PortForward,
}

impl ChannelChoice {
    /// Returns the first way, and those that come after it.
    const fn ways(self) -> (Way, &'static [Way]) {
        match self {
            Self::Auto => (Way::Proxy, &[Way::PortForward]),
            Self::Proxy => (Way::Proxy, &[]),
            Self::PortForward => (Way::PortForward, &[]),
        }
    }
}

/// A kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Proxy,
    PortForward,
}

impl Way {
    /// Every way, in the order in which they are tried.
    pub(crate) const ALL: [Self; 2] = [Self::Proxy, Self::PortForward];

    /// Returns the subresource of pods that it needs a right to.
    pub(crate) const fn subresource(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::PortForward => "portforward",
        }
    }

    /// Returns what the right names of a pod and its port.
    pub(crate) fn object(self, pod: &str, port: u16) -> String {
        match self {
            Self::Proxy => format!("https:{pod}:{port}"),
            Self::PortForward => pod.into(),
        }
    }

    /// Returns the verbs that it takes to work with the rights of `right`.
    pub(crate) const fn verbs(self, right: Right) -> &'static [&'static str] {
        match (self, right) {
            (Self::Proxy, Right::Pull) => &["get"],
            (Self::Proxy, Right::Push) => &["get", "create", "update"],
            (Self::Proxy, Right::Admin) => &["get", "create", "update", "delete"],
            // A WebSocket is asked for by GET, which newer API servers take for a creation.
            (Self::PortForward, _) => &["get", "create"],
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Proxy => "proxy",
            Self::PortForward => "port-forward",
        })
    }
}

/// The pod of a surrogate, and who wants to speak to it.
pub(crate) struct Destination<'a> {
    pub(super) api_server: &'a ApiServer,
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) port: u16,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) right: Right,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LadderError {
    /// The surrogate, or the API server as such.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// Every channel that was tried is closed.
    #[error("no channel leads there: {}", list(.0))]
    Closed(Vec<Closed>, #[source] SessionError),
}

/// A channel that is closed.
#[derive(Debug)]
pub(crate) struct Closed {
    way: Way,
    error: String,
}

fn list(closed: &[Closed]) -> String {
    let lines: Vec<String> = closed.iter().map(|Closed { way, error }| format!("{way}: {error}")).collect();
    lines.join("; ")
}

impl LadderError {
    /// Tells whether a right is missing.
    pub(super) const fn is_denied(&self) -> bool {
        let error = match self {
            Self::Session(error) | Self::Closed(_, error) => error,
            Self::Tls(_) => return false,
        };
        matches!(error, SessionError::ApiServer { status, .. } if status.as_u16() == 403)
    }

    /// Tells whether the same may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            // Credentials, rights and versions are as they are.
            Self::Session(error) => {
                matches!(error, SessionError::ApiServer { .. } | SessionError::Timeout { .. })
                    && error.is_transient()
            }
            Self::Closed(_, last) => last.is_transient(),
            Self::Tls(_) => false,
        }
    }
}

/// Tells whether another channel may lead to where this one does not.
fn is_closed(error: &SessionError) -> bool {
    match error {
        // 403: the right to it is missing. The others: something on the way does not know it, or lets no WebSocket through.
        SessionError::ApiServer { status, .. } => matches!(status.as_u16(), 400 | 403 | 405 | 426 | 501),
        SessionError::Timeout { .. } => true,
        _ => false,
    }
}

impl Destination<'_> {
    /// Opens a session over the first channel that is open.
    pub(super) async fn climb(&self, choice: ChannelChoice) -> Result<Session, LadderError> {
        let (mut way, others) = choice.ways();
        let mut others = others.iter();
        let mut closed = Vec::new();
        loop {
            let error = match self.open(way).await {
                Err(LadderError::Session(error)) if is_closed(&error) => error,
                opened => {
                    let why =
                        if closed.is_empty() { String::new() } else { format!(", since {}", list(&closed)) };
                    tracing::info!("channel {way}{why}");
                    return opened;
                }
            };
            let next = others.next();
            if next.is_none() && closed.is_empty() {
                return Err(error.into());
            }
            closed.push(Closed { way, error: error.to_string() });
            match next {
                Some(next) => way = *next,
                None => return Err(LadderError::Closed(closed, error)),
            }
        }
    }

    /// Opens a session over one channel.
    pub(crate) async fn open(&self, way: Way) -> Result<Session, LadderError> {
        Ok(Session::open(self.channel(way)?, self.tokens.clone(), self.right).await?)
    }

    fn channel(&self, way: Way) -> Result<Arc<dyn Channel>, LadderError> {
        let (api_server, namespace, pod) = (self.api_server.clone(), self.namespace, self.pod);
        Ok(match way {
            Way::Proxy => Arc::new(Proxy::new(api_server, namespace, pod, self.port)),
            Way::PortForward => {
                Arc::new(PortForward::new(api_server, namespace, pod, self.port).map_err(LadderError::Tls)?)
            }
        })
    }

    /// Says how an administrator gives the right to one of the channels.
    pub(super) fn roles(&self, choice: ChannelChoice) -> String {
        let (first, others) = choice.ways();
        let roles: Vec<String> = std::iter::once(&first).chain(others).map(|way| self.role(*way)).collect();
        format!("ask for the right to it: {}", roles.join(", or "))
    }

    fn role(&self, way: Way) -> String {
        let Self { namespace, pod, port, right, .. } = self;
        format!(
            "kubectl create role reposure-{right} --namespace {namespace} --verb={} --resource=pods/{} --resource-name={}",
            way.verbs(*right).join(","),
            way.subresource(),
            way.object(pod, *port)
        )
    }
}
