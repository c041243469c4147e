//! One connection: TLS or not, then HTTP/1.1 until either side ends it.

use std::{
    convert::Infallible,
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use reposure_parcel::wire;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;

/// How long a TLS handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may be idle, and how long a request's head may take. The API server keeps idle connections for 90 s;
/// whoever closes first must not be this side, or a request that is just sent is lost.
const IDLE_DEADLINE: Duration = Duration::from_secs(120);
/// How long a connection may be there before its first request. The API server connects when it has one; who does not may be
/// any pod, and is not to take the places of others.
const FIRST_REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// The most that is read from a connection at once, in bytes. A chunk comes in TLS records of 16 KiB.
const READ_BUFFER: usize = 128 << 10;
/// The most headers of a request.
const HEADERS: usize = 64;

/// What is spoken on a port.
#[derive(Clone)]
pub(crate) enum Protocol {
    /// HTTP over TLS or without, as its sender likes.
    Either(TlsAcceptor),
    /// HTTP over TLS alone, by the configuration of the moment: a connection keeps the one that it began with.
    Tls(watch::Receiver<Arc<ServerConfig>>),
    /// Plain HTTP.
    Plain,
}

/// What protects a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// TLS of the surrogate's own.
    Tls,
    /// It comes from the surrogate's own network namespace: from a forwarded port, whose stream is encrypted up to the node.
    Loopback,
    /// Nothing.
    None,
}

/// Answers the requests of one connection, each by `respond`, until it ends or `ending` says so.
pub(super) async fn serve<F, A>(
    stream: TcpStream,
    protocol: Protocol,
    ending: CancellationToken,
    respond: Arc<F>,
) where
    F: Fn(Request<Incoming>, Wrapping) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    // A failure only means slower answers.
    let _ = stream.set_nodelay(true);
    let unwrapped = wrapping(&stream);
    let acceptor = match protocol {
        Protocol::Plain => return exchange(stream, ending, |request| respond(request, unwrapped)).await,
        Protocol::Tls(config) => {
            let acceptor = TlsAcceptor::from(config.borrow().clone());
            return over_tls(stream, acceptor, ending, respond).await;
        }
        Protocol::Either(acceptor) => acceptor,
    };
    match timeout(HANDSHAKE_DEADLINE, begins_with_tls(&stream)).await {
        Ok(Ok(true)) => over_tls(stream, acceptor, ending, respond).await,
        Ok(Ok(false)) => exchange(stream, ending, |request| respond(request, unwrapped)).await,
        Ok(Err(error)) => tracing::debug!(%error, "no first byte"),
        Err(_) => tracing::debug!("no first byte in time"),
    }
}

async fn over_tls<F, A>(stream: TcpStream, acceptor: TlsAcceptor, ending: CancellationToken, respond: Arc<F>)
where
    F: Fn(Request<Incoming>, Wrapping) -> A + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    // rustls reads its records in small steps.
    let stream = BufReader::with_capacity(READ_BUFFER, stream);
    match timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => exchange(stream, ending, |request| respond(request, Wrapping::Tls)).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
        Err(_) => tracing::debug!("no TLS in time"),
    }
}

/// Tells whether a client begins with TLS: no method of HTTP begins with the byte of a handshake record.
///
/// See [RFC 8446, section 5.1](https://www.rfc-editor.org/rfc/rfc8446#section-5.1).
async fn begins_with_tls(stream: &TcpStream) -> io::Result<bool> {
    const HANDSHAKE: u8 = 22;
    let mut first = [0];
    stream.peek(&mut first).await.map(|length| length > 0 && first == [HANDSHAKE])
}

/// Returns what protects a stream without TLS.
fn wrapping(stream: &TcpStream) -> Wrapping {
    let is_loopback = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
    if is_loopback { Wrapping::Loopback } else { Wrapping::None }
}

async fn exchange<S, F, A>(stream: S, ending: CancellationToken, respond: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> A + Send + Sync,
    A: Future<Output = Answer> + Send,
{
    let begun = AtomicBool::new(false);
    let service = service_fn(|request| {
        begun.store(true, Ordering::Relaxed);
        let answer = respond(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_DEADLINE)
        .max_buf_size(READ_BUFFER)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = silent(&begun) => {
            tracing::debug!("no request in time");
            return;
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = crate::answer::chain(&error), "a connection broke");
    }
}

/// Waits until the first request should have begun; for ever, if it has.
async fn silent(begun: &AtomicBool) {
    sleep(FIRST_REQUEST_DEADLINE).await;
    if begun.load(Ordering::Relaxed) {
        pending::<()>().await;
    }
}

/// Marks an answer as the surrogate's: the API server may answer in its place.
pub(super) fn marked(mut answer: Answer) -> Answer {
    let is_unknown = answer.status() == StatusCode::UNAUTHORIZED;
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static(wire::VERSION_HEADER), HeaderValue::from(wire::VERSION));
    if is_unknown {
        // Who is not let in keeps no place either.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
