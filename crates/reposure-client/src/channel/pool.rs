//! A pool of HTTP connections, which can be left for a new one.
//!
//! A middle box that has lost its other side, or all that it knew, has done so for every connection through it. Of those that are idle each
//! would be found out by a request of its own, and each of these would wait for its answer in vain.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::{self, ResponseFuture, connect::Connect};
use tokio::time::Instant;
use tower::Service;

/// Connections that `C` makes, for bodies `B`. Clones share them.
pub(super) struct Pool<C, B> {
    builder: legacy::Builder,
    connector: C,
    current: Arc<RwLock<Current<C, B>>>,
}

/// The connections in use.
struct Current<C, B> {
    since: Instant,
    client: legacy::Client<C, B>,
}

impl<C, B> Pool<C, B>
where
    C: Connect + Clone + Send + Sync + 'static,
    B: Body<Data: Send> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Starts with no connection.
    pub(super) fn new(builder: legacy::Builder, connector: C) -> Self {
        let client = builder.build(connector.clone());
        let current = Arc::new(RwLock::new(Current { since: Instant::now(), client }));
        Self { builder, connector, current }
    }

    /// Uses no connection again that there was at `sent`, when a request went out whose answer did not come. Those on which something is
    /// under way bring it to its end.
    pub(super) fn leave(&self, sent: Instant) {
        // Nothing can panic while it is held.
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.since <= sent {
            *current = Current { since: Instant::now(), client: self.builder.build(self.connector.clone()) };
        }
    }
}

impl<C, B> Service<Request<B>> for Pool<C, B>
where
    C: Connect + Clone + Send + Sync + 'static,
    B: Body<Data: Send> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        // Each request waits for its own connection.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.current.read().unwrap_or_else(PoisonError::into_inner).client.request(request)
    }
}

impl<C: Clone, B> Clone for Pool<C, B> {
    fn clone(&self) -> Self {
        let (builder, connector) = (self.builder.clone(), self.connector.clone());
        Self { builder, connector, current: self.current.clone() }
    }
}

impl<C, B> fmt::Debug for Pool<C, B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}
