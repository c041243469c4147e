//! `GET /api/v1/namespaces/NS/pods/NAME/portforward?ports=N`: a stream to the pod in a WebSocket.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpStream;

use super::{
    Shared,
    behaviour::{How, Tunnels},
    tunnel,
    websocket::{self, Socket},
};

/// As `wsstream` has it.
const CHANNELS: &str = "v4.channel.k8s.io";
/// As the API server and the kubelet have it, which pass on what is in it.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;
/// What container runtimes say of a port that they do not reach.
pub(super) const NOT_REACHED: &[u8] = b"error forwarding port 10250 to pod: no network namespace";

/// Says yes to the upgrade, and forwards to the pod what comes in the WebSocket, or fails as it is told.
pub(super) fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    failure: Option<How>,
) -> Response<Full<Bytes>> {
    let ports = request.uri().query().and_then(|query| query.strip_prefix("ports="));
    let port: u16 = ports.and_then(|port| port.parse().ok()).unwrap_or_default();
    let asked = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let asks_for_tunnel =
        asked.and_then(|asked| asked.to_str().ok()).is_some_and(|asked| asked.contains(TUNNEL));
    let tunnels = shared.state().behaviour.tunnels;
    match tunnels {
        Tunnels::Refused if asks_for_tunnel => refusal(),
        Tunnels::Given if asks_for_tunnel => {
            let serve = move |socket| async move { tunnel::serve(&shared, socket, port, failure).await };
            websocket::upgrade(request, TUNNEL, serve).map(|_| Full::default())
        }
        _ => {
            let serve = move |socket| async move { serve(&shared, socket, port, failure).await };
            websocket::upgrade(request, CHANNELS, serve).map(|_| Full::default())
        }
    }
}

/// Answers as `golang.org/x/net/websocket` does, which has no words for it.
fn refusal() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

async fn serve(shared: &Shared, mut socket: Socket, port: u16, failure: Option<How>) -> io::Result<()> {
    for channel in [DATA, ERROR] {
        websocket::send(&mut socket, channel, &port.to_le_bytes()).await?;
    }
    if failure == Some(How::CutAfter) {
        return websocket::send(&mut socket, ERROR, NOT_REACHED).await;
    }
    if failure == Some(How::Mute) {
        return std::future::pending().await;
    }
    let pod = TcpStream::connect(shared.pod).await?.into_split();
    websocket::pump(shared, socket, pod, DATA, failure).await
}
