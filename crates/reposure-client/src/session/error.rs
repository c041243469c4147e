//! What can go wrong between a client and a surrogate.

use std::time::Duration;

use http::StatusCode;
use reposure_oci::transport::BoxError;
use reposure_parcel::{
    problem::{Code, Problem},
    wire,
};

use crate::{
    channel::{ChannelError, Hop},
    token::TokenError,
};

/// Why a request to a surrogate failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There was no answer.
    #[error("{path} over channel {channel} failed")]
    Channel {
        /// The channel's name.
        channel: &'static str,
        /// The request's path.
        path: String,
        /// What happened.
        #[source]
        source: ChannelError,
    },
    /// There is no token to send with it.
    #[error("the surrogate needs a token")]
    Token(#[source] TokenError),
    /// The API server, or something before it, answered instead of the surrogate.
    #[error("the API server answered {path} itself, with {status}: {message}")]
    ApiServer {
        /// The request's path.
        path: String,
        /// The answer's status.
        status: StatusCode,
        /// Its message.
        message: String,
        /// How many seconds it wants the request to wait before it is made again.
        retry_after: Option<u32>,
    },
    /// The surrogate answered with an error of its own.
    #[error("{}", .problem.message)]
    Problem {
        /// The request's path.
        path: String,
        /// The answer's status.
        status: StatusCode,
        /// Whether the surrogate is in this process, so that the registry is reached from here.
        embedded: bool,
        /// What the surrogate says.
        problem: Problem,
    },
    /// The answer ended before its end.
    #[error("the answer to {path} broke off")]
    Broken {
        /// The request's path.
        path: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// There was no answer in time.
    #[error("no answer to {path} within {} s", .waited.as_secs())]
    Timeout {
        /// The request's path.
        path: String,
        /// How long was waited.
        waited: Duration,
    },
    /// A request or an answer cannot be written or read.
    #[error("the exchange {path} is malformed")]
    Malformed {
        /// The request's path.
        path: String,
        /// What is wrong.
        #[source]
        source: BoxError,
    },
    /// The surrogate speaks other versions.
    #[error(
        "the surrogate ({build}) speaks versions {oldest} to {newest}, this client {} to {}",
        wire::OLDEST_VERSION,
        wire::VERSION
    )]
    Version {
        /// The surrogate's build.
        build: String,
        /// The oldest version that it speaks.
        oldest: u32,
        /// The newest version that it speaks.
        newest: u32,
    },
}

impl SessionError {
    /// Tells whether the same request may succeed later: the link, the API server or the surrogate may come back.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Channel { source, .. } => source.hop != Hop::Credentials,
            Self::ApiServer { status, message, .. } => {
                // 404: the pod is deleted, and comes back under its name. 500, 502, 503, 504: it is away, or the API server is.
                matches!(status.as_u16(), 404 | 408 | 429 | 500 | 502 | 503 | 504)
                    || *status == StatusCode::BAD_REQUEST && is_of_new_pod(message)
            }
            Self::Problem { problem, .. } => problem.transient,
            Self::Broken { .. } | Self::Timeout { .. } => true,
            Self::Token(error) => !error.denied,
            Self::Malformed { .. } | Self::Version { .. } => false,
        }
    }

    /// Tells whether nothing came in time.
    pub(crate) const fn is_silence(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Returns how long the same request is to wait, if the API server or the registry said so.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = match self {
            Self::ApiServer { retry_after, .. } => *retry_after,
            Self::Problem { problem, .. } => problem.retry_after.map(|wait| wait.get().into()),
            _ => None,
        };
        seconds.map(|wait| Duration::from_secs(wait.into()))
    }

    /// Tells whether something on the way takes no body of this size.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::ApiServer { status, .. } if *status == StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// Returns the surrogate's code, if the error is of the surrogate's own.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Problem { problem, .. } => Some(problem.code),
            _ => None,
        }
    }

    /// Names the hop that failed.
    pub const fn hop(&self) -> &'static str {
        match self {
            Self::Channel { source, .. } => match source.hop {
                Hop::Credentials => "credentials in the kubeconfig",
                Hop::ApiServer => "API server",
                Hop::Surrogate => "surrogate",
            },
            Self::Token(_) | Self::ApiServer { .. } => "API server",
            Self::Problem { problem, .. } => match problem.code {
                Code::UpstreamUnreachable
                | Code::UpstreamDenied
                | Code::UpstreamRefused
                | Code::UpstreamBusy => "registry",
                _ => "surrogate",
            },
            Self::Broken { .. } | Self::Timeout { .. } | Self::Malformed { .. } | Self::Version { .. } => {
                "surrogate"
            }
        }
    }
}

/// Tells whether the API server speaks of a pod that is new: one that has no address yet, for its proxy, or no node, for the rest.
fn is_of_new_pod(message: &str) -> bool {
    message == "address not allowed" || message.ends_with("does not have a host assigned")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_is_new_is_waited_for() {
        let answer = |status: u16, message: &str| SessionError::ApiServer {
            path: "/".into(),
            status: StatusCode::from_u16(status).unwrap(),
            message: message.into(),
            retry_after: None,
        };
        assert!(answer(400, "address not allowed").is_transient());
        assert!(answer(400, "pod reposure-surrogate-default-0 does not have a host assigned").is_transient());
        assert!(!answer(400, "the request is malformed").is_transient());
        assert!(!answer(403, "address not allowed").is_transient());
    }
}
