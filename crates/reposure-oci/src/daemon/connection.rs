//! One request on a connection of its own.

use std::{io, time::Duration};

use http::{HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    address::DaemonAddress,
    error::{DaemonError, Engine},
};
use crate::transport::{AnswerLimits, Body, BoxError, Watch, stalling};

/// How long a connection may take: the socket is on this machine, or near.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a daemon may be silent. It writes a whole image to disk before it sends the first byte of it, and loads one after
/// it has the last: minutes, for large ones on a slow disk.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(600);
/// How long a daemon may be silent on whether it is there.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(10);
/// A client must name a host, and docker takes any.
const HOST: HeaderValue = HeaderValue::from_static("localhost");

/// A daemon and where it listens.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) engine: Engine,
    pub(super) address: DaemonAddress,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connector {
    /// Sends a request on a connection of its own, which ends with the answer's body, whatever is left of the request's.
    pub(super) async fn send(
        &self,
        request: Request<Body>,
        silence: Duration,
    ) -> Result<Response<Body>, DaemonError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (engine, address) = (self.engine, self.address.clone());
        let broken = |source: BoxError| DaemonError::Broken {
            engine,
            address: address.clone(),
            method: method.clone(),
            path: path.clone(),
            source,
        };
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) =
            http1::handshake(stream).await.map_err(|error| broken(error.into()))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the daemon broke off");
            }
        }));
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(header::HOST, HOST);
        let (body, watch) = Watch::over(body);
        let answer = sender.send_request(Request::from_parts(parts, body));
        let limits = AnswerLimits { piece: silence, end: silence };
        match watch.answer(limits, answer).await {
            Ok(Ok(answer)) => {
                let held = move |error: hyper::Error| {
                    let _connection = &connection;
                    BoxError::from(error)
                };
                Ok(answer.map(|body| stalling(body.map_err(held).boxed_unsync(), silence)))
            }
            Ok(Err(error)) => Err(broken(error.into())),
            Err(limit) => Err(DaemonError::Timeout { engine, address: address.clone(), method, path, limit }),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, DaemonError> {
        let connecting = async {
            Ok(match &self.address {
                DaemonAddress::Unix(path) => Box::new(UnixStream::connect(path).await?) as Box<dyn Stream>,
                DaemonAddress::Tcp(endpoint) => Box::new(TcpStream::connect(endpoint.host()).await?),
            })
        };
        let connected = timeout(CONNECT_LIMIT, connecting).await;
        connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| self.unreached(error))
    }

    fn unreached(&self, source: io::Error) -> DaemonError {
        let (engine, address) = (self.engine, self.address.clone());
        match source.kind() {
            io::ErrorKind::NotFound => DaemonError::NotRunning { engine, address },
            io::ErrorKind::PermissionDenied => DaemonError::Denied { engine, address, source },
            _ => DaemonError::Unreachable { engine, address, source },
        }
    }
}
