//! `GET /api/v1/namespaces/NS/pods/NAME/portforward?ports=N`: a stream to the pod in a WebSocket.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use tokio::net::TcpStream;

use super::{
    Shared,
    behaviour::How,
    websocket::{self, Socket},
};

/// As `wsstream` has it.
const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Says yes to the upgrade, and forwards to the pod what comes in the WebSocket, or fails as it is told.
pub(super) fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    failure: Option<How>,
) -> Response<Empty<Bytes>> {
    let ports = request.uri().query().and_then(|query| query.strip_prefix("ports="));
    let port: u16 = ports.and_then(|port| port.parse().ok()).unwrap_or_default();
    websocket::upgrade(
        request,
        PROTOCOL,
        move |socket| async move { serve(&shared, socket, port, failure).await },
    )
}

async fn serve(shared: &Shared, mut socket: Socket, port: u16, failure: Option<How>) -> io::Result<()> {
    for channel in [DATA, ERROR] {
        websocket::send(&mut socket, channel, &port.to_le_bytes()).await?;
    }
    if failure == Some(How::CutAfter) {
        let text = b"error forwarding port 10250 to pod: no network namespace";
        return websocket::send(&mut socket, ERROR, text).await;
    }
    if failure == Some(How::Mute) {
        return std::future::pending().await;
    }
    let pod = TcpStream::connect(shared.pod).await?.into_split();
    let largest_message = shared.state().behaviour.largest_message;
    websocket::pump(socket, pod, DATA, largest_message, failure).await
}
