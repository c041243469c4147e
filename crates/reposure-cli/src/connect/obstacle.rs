//! Why a channel is not taken, and why none is.

use reposure_client::{channel::Hop, session::SessionError, token::TokenError};

use super::{pace::Pace, way::Way};
use crate::exit::chain;

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
    pub(super) way: Way,
    pub(super) obstacle: Obstacle,
}

/// Why a channel is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Obstacle {
    #[error("{}", chain(.0))]
    Session(SessionError),
    #[error("you may not {} pods/{}", .0.join(", "), .1)]
    NoRight(Vec<&'static str>, &'static str),
    /// It is open, and others may be better.
    #[error("{0}")]
    Slow(Pace),
}

/// Writes what was tried, each with its obstacle.
pub(super) fn list(closed: &[Closed]) -> String {
    let lines: Vec<String> =
        closed.iter().map(|Closed { way, obstacle }| format!("{way}: {obstacle}")).collect();
    lines.join("; ")
}

impl Obstacle {
    /// Takes what happened on a channel for one if another channel may lead to where this one does not. What the surrogate itself
    /// says, a pod that is deleted, and credentials that are refused are the same on each.
    pub(super) fn of(error: SessionError) -> Result<Self, SessionError> {
        match &error {
            SessionError::Problem { .. } | SessionError::Version { .. } | SessionError::Malformed { .. } => {
                Err(error)
            }
            SessionError::ApiServer { status, .. } if matches!(status.as_u16(), 401 | 404) => Err(error),
            SessionError::Channel { source, .. } if source.hop == Hop::Credentials => Err(error),
            SessionError::Token(token) if !token.denied => Err(error),
            _ => Ok(Self::Session(error)),
        }
    }

    /// Tells whether a right is missing.
    pub(super) fn is_denied(&self) -> bool {
        match self {
            Self::Session(error) => is_denied(error),
            Self::NoRight(..) => true,
            Self::Slow(_) => false,
        }
    }

    /// Tells whether it may be gone by itself within seconds.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            // 400: a pod that has no address yet.
            Self::Session(SessionError::ApiServer { status, .. }) if status.as_u16() == 400 => true,
            Self::Session(error) => error.is_transient(),
            Self::NoRight(..) | Self::Slow(_) => false,
        }
    }
}

fn is_denied(error: &SessionError) -> bool {
    match error {
        SessionError::ApiServer { status, .. } => status.as_u16() == 403,
        error => missing_token(error).is_some(),
    }
}

/// Returns what is missing where there is no right to a token.
fn missing_token(error: &SessionError) -> Option<&TokenError> {
    match error {
        SessionError::Token(error) if error.denied => Some(error),
        _ => None,
    }
}

impl LadderError {
    /// Tells whether rights are missing, to each channel that was tried.
    pub(crate) fn is_denied(&self) -> bool {
        match self {
            Self::Session(error) => is_denied(error),
            Self::Closed(closed) => closed.iter().all(|closed| closed.obstacle.is_denied()),
            Self::Tls(_) => false,
        }
    }

    /// Returns what is missing where there is no right to a token.
    pub(super) fn missing_token(&self) -> Option<&TokenError> {
        match self {
            Self::Session(error) => missing_token(error),
            Self::Closed(closed) => closed.iter().find_map(|closed| match &closed.obstacle {
                Obstacle::Session(error) => missing_token(error),
                Obstacle::NoRight(..) | Obstacle::Slow(_) => None,
            }),
            Self::Tls(_) => None,
        }
    }

    /// Tells whether the same may succeed later. Credentials, rights and versions are as they are.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Session(error) => error.is_transient(),
            Self::Closed(closed) => closed.iter().any(|closed| closed.obstacle.is_transient()),
            Self::Tls(_) => false,
        }
    }

    /// Makes an error whose kind and hint are known by its type.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Session(error) => error.into(),
            error => error.into(),
        }
    }
}
