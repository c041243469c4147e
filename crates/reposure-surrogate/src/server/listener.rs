//! One port.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::connection::{self, Protocol, Wrapping};
use crate::answer::Answer;

/// The most connections of a port. The API server opens one for each request that is under way, and keeps two. Whoever is on
/// one, before he shows a token, may fill two read buffers of 128 KiB: all of them fit beside what uploads take.
const CONNECTIONS: usize = 256;
/// How long to wait after the system refuses a connection, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// A port that is listened on.
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    protocol: Protocol,
    connections: usize,
    accepted: Counter,
}

impl Listener {
    /// Listens.
    pub(crate) async fn bind(address: SocketAddr, protocol: Protocol) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, protocol, connections: CONNECTIONS, accepted: Counter::default() })
    }

    /// Takes so many connections at once.
    pub(crate) fn with_connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// Returns the address, with the port that the system chose where none was asked for.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what counts the connections that are accepted.
    pub(crate) fn accepted(&self) -> Counter {
        self.accepted.clone()
    }

    /// Answers requests by `respond` until `ending` says so, and then until the connections have ended.
    ///
    /// # Cancel safety
    /// Dropping the future cuts the connections.
    pub(crate) async fn serve<F, A>(self, ending: CancellationToken, respond: F)
    where
        F: Fn(Request<Incoming>, Wrapping) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let (respond, places) = (Arc::new(respond), Arc::new(Semaphore::new(self.connections)));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = ending.cancelled() => break,
                accepted = self.accept(&places) => accepted,
                Some(_) = connections.join_next() => None,
            };
            if let Some((stream, place)) = accepted {
                let connection =
                    connection::serve(stream, self.protocol.clone(), ending.clone(), respond.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
        }
        // Nobody is let in any more.
        drop(self);
        while connections.join_next().await.is_some() {}
    }

    async fn accept(&self, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((stream, _)) => {
                self.accepted.inc();
                Some((stream, place))
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
                None
            }
        }
    }
}
