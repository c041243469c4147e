//! `GET /api/v1/namespaces/NS/pods/NAME/portforward?ports=N`: a stream to the pod in a WebSocket.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{Shared, behaviour::How};

/// As `wsstream` has it.
const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;
/// How the kubelet reads and writes, in bytes.
const PIECE: usize = 32 << 10;

/// Says yes to the upgrade, and forwards to the pod what comes in the WebSocket, or fails as it is told.
pub(super) fn answer(
    shared: Arc<Shared>,
    mut request: Request<Incoming>,
    failure: Option<How>,
) -> Response<Empty<Bytes>> {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let accept = derive_accept_key(key.map_or(b"", HeaderValue::as_bytes));
    let ports = request.uri().query().and_then(|query| query.strip_prefix("ports="));
    let port: u16 = ports.and_then(|port| port.parse().ok()).unwrap_or_default();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // What breaks here breaks for the client, which is what a cut looks like.
            let _ = serve(&shared, upgraded, port, failure).await;
        }
    });
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    if let Ok(accept) = accept.parse() {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

async fn serve(shared: &Shared, upgraded: Upgraded, port: u16, failure: Option<How>) -> io::Result<()> {
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    for channel in [DATA, ERROR] {
        socket.send(message(channel, &port.to_le_bytes())).await.map_err(io::Error::other)?;
    }
    if failure == Some(How::CutAfter) {
        let text = b"error forwarding port 10250 to pod: no network namespace";
        return socket.send(message(ERROR, text)).await.map_err(io::Error::other);
    }
    let (mut from_pod, mut to_pod) = TcpStream::connect(shared.pod).await?.into_split();
    let (mut to_client, mut from_client) = socket.split();
    let up = async {
        while let Some(Ok(Message::Binary(bytes))) = from_client.next().await {
            if let Some((&DATA, bytes)) = bytes.split_first() {
                to_pod.write_all(bytes).await?;
            }
        }
        io::Result::Ok(())
    };
    let down = async {
        let mut left = if let Some(How::CutWithin(bytes)) = failure { bytes } else { usize::MAX };
        let mut buffer = vec![0; PIECE];
        loop {
            let length = from_pod.read(&mut buffer).await?;
            if length == 0 || left == 0 {
                return io::Result::Ok(());
            }
            let length = length.min(left);
            left -= length;
            to_client.send(message(DATA, &buffer[..length])).await.map_err(io::Error::other)?;
        }
    };
    // There is no half-close: when one direction ends, so does the other.
    tokio::select! {
        done = up => done,
        done = down => done,
    }
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(1 + bytes.len());
    message.extend_from_slice(&[channel]);
    message.extend_from_slice(bytes);
    Message::Binary(message.freeze())
}
