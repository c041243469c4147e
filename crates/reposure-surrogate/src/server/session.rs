//! The Unix socket for sessions of the channel `exec`: HTTP/2 from processes of the surrogate's own user.
//!
//! See `reposure_parcel::session`. The socket's name is in the abstract namespace, which is the pod's own: it takes no file system,
//! and is gone with the surrogate.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use reposure_parcel::{
    session::{ANY_TIME, CONNECTION_WINDOW, FRAME, PING, SEND_BUFFER, SILENCE, STREAM_WINDOW},
    watched::Watched,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, join},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::connection::marked;
use crate::{
    answer::Answer,
    handover::{self, Session},
};

/// The most sessions at once: 4 of each of as many clients as may have uploads open.
const SESSIONS: usize = 32;
/// The most requests of a session at once: a client has 16 chunks in flight, and asks other things meanwhile.
const STREAMS: u32 = 64;
/// How long to wait after the system refuses a connection, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How long it may take to read what is in a pipe whose writer is gone. The end of it ends the session sooner, unless nobody reads what
/// the session says.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a process may take to hand its pipes over, once it has joined: it does nothing else before.
const HANDOVER: Duration = Duration::from_secs(10);

/// The socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for sessions at {name}")]
pub(crate) struct SocketError {
    name: String,
    #[source]
    source: io::Error,
}

/// A socket for sessions.
pub(crate) struct SessionListener {
    socket: UnixListener,
    user: u32,
}

impl SessionListener {
    /// Listens at a name in the abstract namespace.
    pub(crate) fn bind(name: &str) -> Result<Self, SocketError> {
        let socket = UnixListener::bind(address(name));
        let socket = socket.map_err(|source| SocketError { name: name.into(), source })?;
        Ok(Self { socket, user: rustix::process::geteuid().as_raw() })
    }

    /// Answers requests by `respond` until `ending` says so, and then until the sessions have ended.
    ///
    /// # Cancel safety
    /// Dropping the future cuts the sessions.
    pub(crate) async fn serve<F, A>(self, ending: CancellationToken, respond: F)
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let (respond, places) = (Arc::new(respond), Arc::new(Semaphore::new(SESSIONS)));
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = ending.cancelled() => break,
                accepted = self.accept() => accepted,
                Some(_) = sessions.join_next() => None,
            };
            // One too many is closed at once, which its process tells its client.
            if let (Some(stream), Ok(place)) = (accepted, places.clone().try_acquire_owned()) {
                let session = exchange(stream, ending.clone(), respond.clone());
                sessions.spawn(async move {
                    session.await;
                    drop(place);
                });
            }
        }
        drop(self);
        while sessions.join_next().await.is_some() {}
    }

    async fn accept(&self) -> Option<UnixStream> {
        match self.socket.accept().await {
            // Others in the pod, a proxy of a mesh say, run as somebody else.
            Ok((stream, _)) if stream.peer_cred().is_ok_and(|peer| peer.uid() == self.user) => Some(stream),
            Ok(_) => {
                tracing::warn!("another user's process was not let in");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "a session was not accepted");
                sleep(PAUSE).await;
                None
            }
        }
    }
}

/// Returns the address of a name in the abstract namespace.
pub(crate) fn address(name: &str) -> String {
    format!("\0{name}")
}

/// Speaks with the client of a process until either is gone.
async fn exchange<F, A>(process: UnixStream, ending: CancellationToken, respond: Arc<F>)
where
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let taken = tokio::select! {
        taken = timeout(HANDOVER, handover::take(&process)) => taken,
        () = ending.cancelled() => return,
    };
    match taken.unwrap_or_else(|late| Err(late.into())) {
        Ok(Session::Copied) => converse(process, ending, respond).await,
        Ok(Session::Handed { input, output }) => tokio::select! {
            () = converse(join(input, output), ending, respond) => {}
            () = left(&process) => {}
        },
        Err(error) => tracing::debug!(%error, "a session did not begin"),
    }
}

/// Waits until a process is gone, and then for as long as what its client said last may take to be read.
async fn left(process: &UnixStream) {
    handover::gone(process).await;
    sleep(LAST_WORDS).await;
}

async fn converse<S, F, A>(stream: S, ending: CancellationToken, respond: Arc<F>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request| {
        let respond = respond.clone();
        async move { Ok::<_, Infallible>(marked(respond(request).await)) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(ANY_TIME)
        .serve_connection(TokioIo::new(Watched::new(stream, SILENCE)), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = crate::answer::chain(&error), "a session broke");
    }
}
