//! The ladder of channels: the first one that leads to the surrogate is taken.
//!
//! The hello through a channel is the question whether it is open. It is a `GET`, which a user's role may allow where it allows no
//! more, so that the other verbs are asked for at the same time. What the surrogate or the pod is to blame for is the same on every
//! channel: only a channel which is closed leads to the next.

use std::{fmt, sync::Arc, time::Duration};

use clap::ValueEnum;
use reposure_client::{
    channel::{ApiServer, Channel, PortForward, Proxy},
    session::{Session, SessionError},
    token::TokenSource,
};
use reposure_parcel::wire::Right;

use tokio::time::timeout;

use super::{memory::ChannelMemory, review::Review};

/// How long the API server may take to say whether a right is held: as long as a surrogate may take to say hello.
const REVIEW_DEADLINE: Duration = Duration::from_secs(10);

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
    /// Returns the ways that it means, in the order in which they are tried.
    const fn ways(self) -> &'static [Way] {
        match self {
            Self::Auto => &Way::ALL,
            Self::Proxy => &[Way::Proxy],
            Self::PortForward => &[Way::PortForward],
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

    /// Finds a way by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.to_string() == name)
    }

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
    Closed(Vec<Closed>),
}

/// A channel that is closed.
#[derive(Debug)]
pub(crate) struct Closed {
    way: Way,
    obstacle: Obstacle,
}

/// Why a channel is closed.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error(transparent)]
    Session(SessionError),
    #[error("you may not {} pods/{}", .0.join(", "), .1)]
    NoRight(Vec<&'static str>, &'static str),
}

fn list(closed: &[Closed]) -> String {
    let lines: Vec<String> =
        closed.iter().map(|Closed { way, obstacle }| format!("{way}: {obstacle}")).collect();
    lines.join("; ")
}

impl Obstacle {
    fn is_denied(&self) -> bool {
        match self {
            Self::Session(error) => is_denied(error),
            Self::NoRight(..) => true,
        }
    }
}

fn is_denied(error: &SessionError) -> bool {
    matches!(error, SessionError::ApiServer { status, .. } if status.as_u16() == 403)
}

impl LadderError {
    /// Tells whether a right is missing.
    pub(crate) fn is_denied(&self) -> bool {
        match self {
            Self::Session(error) => is_denied(error),
            Self::Closed(closed) => closed.iter().any(|closed| closed.obstacle.is_denied()),
            Self::Tls(_) => false,
        }
    }

    /// Tells whether the same may succeed later. Credentials, rights and versions are as they are.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Session(error @ (SessionError::ApiServer { .. } | SessionError::Timeout { .. })) => {
                error.is_transient()
            }
            Self::Closed(_) => !self.is_denied(),
            Self::Session(_) | Self::Tls(_) => false,
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
    /// Opens a session over the first channel that is open; that which was open before is tried first.
    pub(super) async fn climb(
        &self,
        choice: ChannelChoice,
        memory: Option<&ChannelMemory>,
    ) -> Result<Session, LadderError> {
        let ways = choice.ways();
        if let [only] = ways {
            return self.open(*only).await;
        }
        let before = memory.and_then(ChannelMemory::recall);
        let others = ways.iter().copied().filter(|way| Some(*way) != before);
        let mut closed = Vec::new();
        for way in before.into_iter().chain(others) {
            match self.open_with_rights(way).await? {
                Ok(session) => {
                    let why =
                        if closed.is_empty() { String::new() } else { format!(", since {}", list(&closed)) };
                    tracing::info!(
                        "channel {way}{}{why}",
                        if before == Some(way) { " as before" } else { "" }
                    );
                    // What is tried first anyway need not be remembered.
                    if before != Some(way) && !closed.is_empty() {
                        memory.inspect(|memory| memory.remember(way));
                    }
                    return Ok(session);
                }
                Err(obstacle) => closed.push(Closed { way, obstacle }),
            }
        }
        Err(LadderError::Closed(closed))
    }

    /// Opens a session over one channel, if it is open to all that is to be done.
    async fn open_with_rights(&self, way: Way) -> Result<Result<Session, Obstacle>, LadderError> {
        let (opened, missing) = tokio::join!(self.open(way), self.missing(way));
        match opened {
            Err(LadderError::Session(error)) if is_closed(&error) => Ok(Err(Obstacle::Session(error))),
            Ok(_) if !missing.is_empty() => Ok(Err(Obstacle::NoRight(missing, way.subresource()))),
            opened => opened.map(Ok),
        }
    }

    /// Returns the verbs that are missing, beside those that the hello itself takes; none where nobody says so.
    async fn missing(&self, way: Way) -> Vec<&'static str> {
        let (object, client) = (way.object(self.pod, self.port), self.api_server.client());
        let mut missing = Vec::new();
        for verb in way.verbs(self.right).iter().filter(|verb| way == Way::Proxy && **verb != "get") {
            let review = Review { verb, resource: "pods", subresource: way.subresource(), name: &object };
            let answer = timeout(REVIEW_DEADLINE, review.ask(&client, self.namespace)).await;
            if matches!(answer, Ok(Ok(false))) {
                missing.push(*verb);
            }
        }
        missing
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
        let roles: Vec<String> = choice.ways().iter().map(|way| self.role(*way)).collect();
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
