//! A WebSocket to a subresource of a pod: asked for, and why there is none.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::{client::Body as KubeBody, core::Status};
use reposure_oci::{Body, transport};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

use super::{ApiServer, ChannelError, Hop, handshake::Handshake};

/// How long the API server may take to say yes; what it takes to reach the pod comes behind that.
const DEADLINE: Duration = Duration::from_secs(10);
/// What is read of an answer that says no, in bytes.
const ANSWER: usize = 64 << 10;
/// The protocol of messages that begin with a channel's number, which API server and kubelet pass on as they are. They translate the
/// newer one for the container runtime. That one can end standard input by itself, which is not used here.
pub(super) const CHANNELS: &str = "v4.channel.k8s.io";
/// The newer one, for what knows no other.
pub(super) const NEWER_CHANNELS: &str = "v5.channel.k8s.io";

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("the API server opens no stream")]
    Request(#[from] kube::Error),
    #[error("the path {0} cannot be asked for")]
    Path(Arc<str>, #[source] http::Error),
    #[error("the API server opened no stream within {} s", DEADLINE.as_secs())]
    Timeout,
    #[error("the API server answered {} in place of a stream", .0.status())]
    Answer(Box<Response<Bytes>>),
    #[error("the API server's answer opens no WebSocket of a protocol that was asked for")]
    Handshake,
    #[error("the API server's connection is no WebSocket")]
    Upgrade(#[source] hyper::Error),
}

/// Asks for a WebSocket at `path` and for the first of `protocols` that is spoken there; returns which one that is.
///
/// # Cancel safety
/// Dropping the future ends the connection.
pub(super) async fn upgrade(
    api_server: &ApiServer,
    path: &Arc<str>,
    protocols: &[&'static str],
) -> Result<(Socket, &'static str), UpgradeError> {
    let sent = Instant::now();
    let Ok(answer) = timeout(DEADLINE, asked(api_server, path, protocols)).await else {
        api_server.leave_idle(sent);
        return Err(UpgradeError::Timeout);
    };
    answer
}

async fn asked(
    api_server: &ApiServer,
    path: &Arc<str>,
    protocols: &[&'static str],
) -> Result<(Socket, &'static str), UpgradeError> {
    let handshake = Handshake::new(protocols);
    let request = handshake.request(path).map_err(|source| UpgradeError::Path(path.clone(), source))?;
    let response = api_server.client().send(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(UpgradeError::Answer(Box::new(read(response).await)));
    }
    let protocol = handshake.protocol(response.headers()).ok_or(UpgradeError::Handshake)?;
    let upgraded = hyper::upgrade::on(response).await.map_err(UpgradeError::Upgrade)?;
    Ok((WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await, protocol))
}

/// Reads an answer, or only its head where it breaks or is too long.
async fn read(response: Response<KubeBody>) -> Response<Bytes> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER).collect().await;
    Response::from_parts(parts, body.map(Collected::to_bytes).unwrap_or_default())
}

impl UpgradeError {
    /// Returns what the API server answered in place of the pod, as it does through the proxy.
    pub(super) fn answer(&self) -> Option<Response<Body>> {
        let Self::Answer(said) = self else { return None };
        let mut answer = Response::new(transport::full(said.body().clone()));
        *answer.status_mut() = said.status();
        // Nothing that would make it the surrogate's.
        for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
            if let Some(value) = said.headers().get(&name) {
                answer.headers_mut().insert(name, value.clone());
            }
        }
        Some(answer)
    }

    /// Tells whether another protocol may be taken where this one was not: what the API server itself has against a request, it says
    /// by a `Status`.
    pub(super) fn is_of_protocol(&self) -> bool {
        match self {
            Self::Answer(said) => serde_json::from_slice::<Status>(said.body()).is_err(),
            Self::Handshake => true,
            _ => false,
        }
    }

    /// Returns the hop that is to blame.
    pub(super) const fn hop(&self) -> Hop {
        match self {
            Self::Request(kube::Error::Auth(_)) => Hop::Credentials,
            _ => Hop::ApiServer,
        }
    }
}

impl From<UpgradeError> for ChannelError {
    fn from(error: UpgradeError) -> Self {
        Self { hop: error.hop(), source: error.into() }
    }
}
