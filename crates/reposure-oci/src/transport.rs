//! The one HTTP exchange on which the registry client rests.
//!
//! A transport is a direct connection to a registry, a channel through a surrogate, or a double in a test.

mod collect;
mod exact;
mod html;
mod retry_after;
mod stall;
mod stretch;
mod watch;

use std::error::Error;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

pub(crate) use collect::{CollectError, collect};
pub use exact::LengthError;
pub(crate) use exact::exact;
pub(crate) use html::is_html;
pub(crate) use retry_after::asked_again;
pub use retry_after::retry_after;
pub use stall::stalling;
pub(crate) use stretch::stretch;
pub(crate) use watch::{AnswerLimits, Watch};

/// Any error of a transport's own.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A request's or an answer's body: a stream of bytes.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Why an exchange failed before there was an answer.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} failed at the {hop}")]
pub struct TransportError {
    /// The request's method.
    pub method: http::Method,
    /// The request's path, without a query, which may hold secrets.
    pub path: String,
    /// Where on the way it failed: `connection to the API server`, `surrogate`, `registry`, …
    pub hop: &'static str,
    /// Whether the same request may succeed later, on a new connection.
    pub transient: bool,
    /// What happened.
    #[source]
    pub source: BoxError,
}

/// Sends one request to a registry and returns its answer, of whatever status.
pub trait Transport: Send + Sync {
    /// Sends a request whose URI is a path and query (`/v2/…`); the transport adds authority and credentials.
    ///
    /// # Errors
    /// When there was no answer at all. An answer of an error status is an answer.
    ///
    /// # Cancel safety
    /// Dropping the future or the answer's body ends the exchange.
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>>;

    /// Returns the URL of a path, for errors; by default the path, where the transport knows no more.
    fn url(&self, path: &str) -> String {
        path.into()
    }

    /// Returns the registry's host (`host` or `host:port`), by which some registries' ways are known; by default the transport does
    /// not know it.
    fn host(&self) -> Option<&str> {
        None
    }
}

impl<T: Transport + ?Sized> Transport for std::sync::Arc<T> {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        (**self).send(request)
    }

    fn url(&self, path: &str) -> String {
        (**self).url(path)
    }

    fn host(&self) -> Option<&str> {
        (**self).host()
    }
}

/// Returns an empty body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body of known bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
