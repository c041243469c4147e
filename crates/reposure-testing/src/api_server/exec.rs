//! `GET /api/v1/namespaces/NS/pods/NAME/exec?…`: a session with the surrogate in a WebSocket.
//!
//! In place of a process there is a greeting, and behind it the surrogate's own socket.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use super::{
    Sessions, Shared,
    behaviour::{How, Version},
    websocket::{self, Socket},
};

/// What API servers speak since 1.30.
const V5: &str = "v5.channel.k8s.io";
/// What all of them speak.
const V4: &str = "v4.channel.k8s.io";
const OUTPUT: u8 = 1;
const ERRORS: u8 = 2;
const STATUS: u8 = 3;

/// Says yes to the upgrade, and lets the client into a session, or fails as it is told.
pub(super) fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    failure: Option<How>,
) -> Response<Empty<Bytes>> {
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let offered = offered.map_or("", |offered| offered.to_str().unwrap_or_default());
    let spoken = match shared.state().behaviour.exec {
        None => &[V5, V4][..],
        Some(Version::V4) => &[V4],
        Some(Version::V5) => &[V5],
    };
    let Some(protocol) = spoken.iter().find(|protocol| offered.contains(**protocol)) else {
        // As `golang.org/x/net/websocket` does, which has no words for it.
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    };
    websocket::upgrade(request, protocol, move |socket| async move { serve(&shared, socket, failure).await })
}

async fn serve(shared: &Shared, mut socket: Socket, failure: Option<How>) -> io::Result<()> {
    // As the kubelet does, to tell that the connection stands.
    websocket::send(&mut socket, OUTPUT, b"").await?;
    let sessions = shared.state().sessions.clone();
    let Some(Sessions { socket: name, greeting, word }) = sessions.filter(|_| failure != Some(How::CutAfter))
    else {
        return fail(&mut socket).await;
    };
    if failure == Some(How::Mute) {
        return std::future::pending().await;
    }
    let mut pod = UnixStream::connect(format!("\0{name}")).await?;
    pod.write_all(&word).await?;
    websocket::send(&mut socket, OUTPUT, greeting.as_bytes()).await?;
    websocket::pump(shared, socket, pod.into_split(), OUTPUT, failure).await
}

/// Ends as a process does that cannot be started.
async fn fail(socket: &mut Socket) -> io::Result<()> {
    websocket::send(socket, ERRORS, b"exec failed: no such file or directory\n").await?;
    let status = json!({"status": "Failure", "message": "command terminated with non-zero exit code"});
    websocket::send(socket, STATUS, status.to_string().as_bytes()).await
}
