//! The ladder of channels: the first one that leads to the surrogate, and is not slow, is taken; else the fastest of the slow ones.
//!
//! The hello through a channel is the question whether it is open. It is a `GET`, which a user's role may allow where it allows no
//! more, so that the other verbs are asked for at the same time. What the surrogate itself says is the same on every channel: only
//! a channel that does not lead to it leads to the next.

use std::sync::Arc;

use reposure_client::{
    channel::{ApiServer, Channel, PortForward, Proxy, exec},
    push::Ahead,
    session::Session,
    token::TokenSource,
};
use reposure_parcel::wire::Right;

use super::{
    memory::{self, ChannelMemory, Remembered},
    obstacle::{Closed, LadderError, Obstacle, list},
    pace::Pace,
    review,
    way::{ChannelChoice, Way},
};
use crate::roles::Grant;

/// The pod of a surrogate, and who wants to speak to it.
pub(crate) struct Destination<'a> {
    pub(super) api_server: &'a ApiServer,
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) port: u16,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) right: Right,
    pub(super) ahead: Option<&'a Ahead>,
}

/// Says which channel was taken, and remembers it.
fn note(taken: Remembered, before: Option<Remembered>, closed: &[Closed], memory: Option<&ChannelMemory>) {
    let (way, is_known) = (taken.way, before.is_some_and(|before| before.way == taken.way));
    let why = if closed.is_empty() { String::new() } else { format!(", since {}", list(closed)) };
    tracing::info!("channel {way}{}{why}", if is_known { " as before" } else { "" });
    let Some(memory) = memory.filter(|_| before != Some(taken)) else { return };
    // What is in the way of a better one today may be gone in a minute.
    let is_brief = closed.iter().any(|closed| closed.obstacle.is_transient());
    if is_known {
        memory.amend(taken);
    } else {
        memory.remember(taken, if is_brief { memory::BRIEFLY } else { memory::AGE });
    }
}

/// Returns the faster of two open channels; the first one where they are equally fast.
fn faster(one: Option<(Pace, Way, Session)>, other: (Pace, Way, Session)) -> (Pace, Way, Session) {
    match one {
        Some(one) if one.0 <= other.0 => one,
        _ => other,
    }
}

impl<'a> Destination<'a> {
    /// Takes tokens from a source that may have some already, and what is known of a push.
    pub(super) fn with(self, tokens: Arc<dyn TokenSource>, ahead: Option<&'a Ahead>) -> Self {
        Self { tokens, ahead, ..self }
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
            let session = self.open(*only).await?;
            tracing::info!("channel {only}, as chosen");
            return Ok(session);
        }
        let remembered = memory.and_then(ChannelMemory::recall);
        let before = remembered.map(|remembered| remembered.way);
        let others = ways.iter().copied().filter(|way| Some(*way) != before);
        let mut closed = Vec::new();
        let mut slow = None;
        for way in before.into_iter().chain(others) {
            // The rights to what was open before are not asked for again: it is known what takes its place if they are gone.
            let is_known = before == Some(way);
            let opened =
                if is_known { self.open_alone(way).await? } else { self.open_with_rights(way).await? };
            match opened {
                // What was taken before was the best then. Where nothing can be remembered, it would be timed each time.
                Ok(session) => match self.slowness(&session, !is_known && memory.is_some()).await {
                    None => return self.take(session, way, remembered, &closed, memory),
                    Some(pace) => {
                        closed.push(Closed { way, obstacle: Obstacle::Slow(pace) });
                        slow = Some(faster(slow, (pace, way, session)));
                    }
                },
                Err(obstacle) => closed.push(Closed { way, obstacle }),
            }
            memory.filter(|_| is_known).inspect(|memory| memory.forget());
        }
        let Some((_, way, session)) = slow else { return Err(LadderError::Closed(closed)) };
        closed.retain(|closed| closed.way != way);
        self.take(session, way, remembered, &closed, memory)
    }

    /// Times an open channel, if it is to be timed, and returns its pace if it is a slow one.
    async fn slowness(&self, session: &Session, is_timed: bool) -> Option<Pace> {
        let pace = if is_timed { Pace::of(session, self.right).await } else { None };
        pace.filter(|pace| pace.is_slow())
    }

    /// Goes on over one channel, and over the others where it breaks.
    fn take(
        &self,
        session: Session,
        way: Way,
        before: Option<Remembered>,
        closed: &[Closed],
        memory: Option<&ChannelMemory>,
    ) -> Result<Session, LadderError> {
        note(Remembered { way, is_far: session.is_far() }, before, closed, memory);
        Ok(session.with_alternatives(self.others(way, closed)?))
    }

    /// Returns the other channels, those behind it first, but for those to which a right is known to be missing. What was slow, or did
    /// not answer, may be better than one that breaks.
    fn others(&self, way: Way, closed: &[Closed]) -> Result<Vec<Arc<dyn Channel>>, LadderError> {
        let is_denied =
            |way: &Way| closed.iter().any(|closed| closed.way == *way && closed.obstacle.is_denied());
        let others = way.others().filter(|other| !is_denied(other));
        others.map(|way| self.channel(way)).collect()
    }

    /// Opens a session over one channel, if it is open to all that is to be done.
    async fn open_with_rights(&self, way: Way) -> Result<Result<Session, Obstacle>, LadderError> {
        let (opened, missing) = tokio::join!(self.open_alone(way), self.missing(way));
        match opened? {
            Ok(_) if !missing.is_empty() => Ok(Err(Obstacle::NoRight(missing, way.subresource()))),
            opened => Ok(opened),
        }
    }

    /// Opens a session over one channel, if it is open.
    async fn open_alone(&self, way: Way) -> Result<Result<Session, Obstacle>, LadderError> {
        match self.open(way).await {
            Err(LadderError::Session(error)) => Ok(Err(Obstacle::of(error)?)),
            opened => opened.map(Ok),
        }
    }

    /// Returns the verbs that are missing, beside those that the hello itself takes; none where nobody says so.
    async fn missing(&self, way: Way) -> Vec<&'static str> {
        let verbs = way.verbs(self.right).iter().filter(|verb| way == Way::Proxy && **verb != "get");
        let object = way.object(self.pod, self.port);
        let verbs = verbs.copied().collect();
        review::missing(&self.api_server.client(), self.namespace, verbs, way.subresource(), &object)
            .await
            .unwrap_or_default()
    }

    /// Opens a session over one channel.
    pub(crate) async fn open(&self, way: Way) -> Result<Session, LadderError> {
        Ok(Session::open_for(self.channel(way)?, self.tokens.clone(), self.right, self.ahead).await?)
    }

    fn channel(&self, way: Way) -> Result<Arc<dyn Channel>, LadderError> {
        let (api_server, namespace, pod) = (self.api_server.clone(), self.namespace, self.pod);
        Ok(match way {
            Way::Proxy => Arc::new(Proxy::new(api_server, namespace, pod, self.port)),
            Way::PortForward => {
                Arc::new(PortForward::new(api_server, namespace, pod, self.port).map_err(LadderError::Tls)?)
            }
            Way::Exec => Arc::new(exec(api_server, namespace, pod)),
        })
    }

    /// Says how an administrator gives the rights that are missing for one of the channels.
    pub(super) fn roles(&self, choice: ChannelChoice, error: &LadderError) -> String {
        let roles: Vec<String> = choice.ways().iter().map(|way| self.roles_for(*way, error)).collect();
        format!("ask for the right to it, with your name for USER; {}", roles.join("\nor "))
    }

    fn roles_for(&self, way: Way, error: &LadderError) -> String {
        let reach = Grant::of_way(way, self.right, self.namespace, self.pod, self.port);
        let token = error.missing_token().filter(|_| way.needs_token());
        let token = token.map(|token| Grant::of_token(&token.namespace, &token.service_account));
        let grants = std::iter::once(reach).chain(token);
        grants.fold(format!("for {way}:"), |roles, grant| format!("{roles}\n{grant}"))
    }
}
