//! Why a registry could not be told who asks.

use std::time::Duration;

use http::StatusCode;

use super::{realm::RealmRefusal, source::CredentialsError};
use crate::transport::{BoxError, TransportError, asked_again};

/// Why a registry could not be told who asks.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There are no credentials.
    #[error("cannot get the registry's credentials")]
    Credentials(#[source] CredentialsError),
    /// The registry names a realm that credentials are not sent to.
    #[error("credentials are not sent to the realm {realm:?} that the registry names")]
    Realm {
        /// The realm.
        realm: String,
        /// Why not.
        #[source]
        source: RealmRefusal,
    },
    /// The realm cannot be reached.
    #[error("cannot reach the realm {realm}")]
    Unreachable {
        /// The realm.
        realm: String,
        /// What happened.
        #[source]
        source: TransportError,
    },
    /// The realm does not answer.
    #[error("the realm {realm} has no answer after {} s", .limit.as_secs())]
    Timeout {
        /// The realm.
        realm: String,
        /// How long it had.
        limit: Duration,
    },
    /// The realm gives no token for these credentials.
    #[error("the realm {realm} refuses the credentials with status {status}")]
    Denied {
        /// The realm.
        realm: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The realm answers with an error.
    #[error("the realm {realm} answers with status {status}{}", asked_again(*.retry_after))]
    Status {
        /// The realm.
        realm: String,
        /// The answer's status.
        status: StatusCode,
        /// When to ask again.
        retry_after: Option<Duration>,
    },
    /// The realm's answer breaks off, or is over its limit.
    #[error("cannot read the answer of the realm {realm}, whose status is {status}")]
    Read {
        /// The realm.
        realm: String,
        /// The answer's status.
        status: StatusCode,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The realm's answer holds no token. What it holds is not shown.
    #[error(
        "the realm {realm} answers with status {status}, but {} holds no token",
        if *.is_page { "with a web page, which" } else { "its answer" }
    )]
    NoToken {
        /// The realm.
        realm: String,
        /// The answer's status.
        status: StatusCode,
        /// Whether the answer is a page for people.
        is_page: bool,
    },
}

impl AuthError {
    /// Tells whether other credentials are needed.
    pub const fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// Tells whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => source.transient,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Timeout { .. } | Self::Read { .. } => true,
            _ => false,
        }
    }

    /// Returns when the realm asks to be asked again.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the hop that failed.
    pub(crate) const fn hop(&self) -> &'static str {
        match self {
            Self::Credentials(_) => "credentials of the registry",
            _ => "token realm of the registry",
        }
    }
}
