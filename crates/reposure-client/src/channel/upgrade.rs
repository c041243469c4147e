//! A WebSocket to a subresource of a pod: asked for, and why there is none.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::core::Status;
use reposure_oci::{Body, transport};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;

use super::{ApiServer, ChannelError, Hop};

/// How long the API server may take to say yes; what it takes to reach the pod comes behind that.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    #[error("the API server opens no stream")]
    Refused(#[from] kube::Error),
    #[error("the path {0} cannot be asked for")]
    Path(Arc<str>, #[source] http::Error),
    #[error("the API server opened no stream within {} s", DEADLINE.as_secs())]
    Timeout,
}

/// Asks for a WebSocket at `path`.
///
/// # Cancel safety
/// Dropping the future ends the connection.
pub(super) async fn upgrade(
    api_server: &ApiServer,
    path: &Arc<str>,
) -> Result<WebSocketStream<TokioIo<Upgraded>>, UpgradeError> {
    let request = Request::get(&**path).body(Vec::new());
    let request = request.map_err(|source| UpgradeError::Path(path.clone(), source))?;
    let connection = timeout(DEADLINE, api_server.client().connect(request)).await;
    Ok(connection.map_err(|_| UpgradeError::Timeout)??.into_stream())
}

impl UpgradeError {
    /// Returns what the API server answered in place of the pod, as it does through the proxy.
    pub(super) fn answer(&self) -> Option<Response<Body>> {
        match self {
            Self::Refused(kube::Error::Api(status)) => Some(answer(status)),
            _ => None,
        }
    }

    /// Returns the hop that is to blame.
    pub(super) const fn hop(&self) -> Hop {
        match self {
            Self::Refused(kube::Error::Auth(_)) => Hop::Credentials,
            _ => Hop::ApiServer,
        }
    }
}

impl From<UpgradeError> for ChannelError {
    fn from(error: UpgradeError) -> Self {
        Self { hop: error.hop(), source: error.into() }
    }
}

fn answer(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(transport::full(serde_json::to_vec(status).unwrap_or_default()));
    *response.status_mut() = code;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
