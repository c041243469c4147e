//! Requests that can be sent twice.

use bytes::Bytes;
use http_body::Body as _;

use crate::transport::{self, Body, BoxError, CollectError};

/// The largest body that is kept to be sent again, in bytes: manifests are of some kilobytes.
const LIMIT: usize = 1 << 20;

/// A request's body.
pub(crate) enum Replay {
    /// Can be sent again.
    Bytes(Bytes),
    /// Can be sent once.
    Once(Body),
}

impl Replay {
    /// Reads a body that says that it is small.
    pub(crate) async fn of(body: Body) -> Result<Self, BoxError> {
        if body.size_hint().upper().is_none_or(|size| size > LIMIT as u64) {
            return Ok(Self::Once(body));
        }
        match transport::collect(body, LIMIT).await {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(CollectError::Broken(source)) => Err(source),
            Err(CollectError::TooLarge(limit)) => {
                Err(format!("the body said to have at most {limit} bytes").into())
            }
        }
    }

    /// Returns a body to send, and what is left for another time.
    pub(crate) fn take(self) -> (Body, Option<Bytes>) {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => (transport::empty(), Some(bytes)),
            Self::Bytes(bytes) => (transport::full(bytes.clone()), Some(bytes)),
            Self::Once(body) => (body, None),
        }
    }

    pub(crate) const fn is_once(&self) -> bool {
        matches!(self, Self::Once(_))
    }
}
