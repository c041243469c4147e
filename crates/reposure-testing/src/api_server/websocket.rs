//! The WebSocket of a subresource: each message begins with a channel's number.

use std::io;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{Shared, behaviour::How};

/// The channel of what goes to the pod.
pub(super) const TO_POD: u8 = 0;
/// How the kubelet and the container runtime read and write, in bytes.
pub(super) const PIECE: usize = 32 << 10;

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Says yes to an upgrade, and serves the socket when it is there.
pub(super) fn upgrade<F, S>(
    mut request: Request<Incoming>,
    protocol: &str,
    serve: F,
) -> Response<Empty<Bytes>>
where
    F: FnOnce(Socket) -> S + Send + 'static,
    S: Future<Output = io::Result<()>> + Send,
{
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let accept = derive_accept_key(key.map_or(b"", HeaderValue::as_bytes));
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            // What breaks here breaks for the client, which is what a cut looks like.
            let _ = serve(socket).await;
        }
    });
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    for (name, value) in
        [(header::SEC_WEBSOCKET_PROTOCOL, protocol), (header::SEC_WEBSOCKET_ACCEPT, accept.as_str())]
    {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    response
}

/// Sends bytes on a channel, as one message.
pub(super) async fn send(socket: &mut Socket, channel: u8, bytes: &[u8]) -> io::Result<()> {
    socket.send(message(channel, bytes)).await.map_err(io::Error::other)
}

/// Copies until either side ends or `failure` is due. There is no half-close: when one direction ends, so does the other.
pub(super) async fn pump(
    shared: &Shared,
    socket: Socket,
    (mut from_pod, mut to_pod): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    channel: u8,
    failure: Option<How>,
) -> io::Result<()> {
    let (largest_message, record) = {
        let mut state = shared.state();
        let record = state.behaviour.records.then_some(state.records.len());
        state.records.extend(record.map(|_| Vec::new()));
        (state.behaviour.largest_message, record)
    };
    let (mut to_client, mut from_client) = socket.split();
    let up = async {
        while let Some(Ok(Message::Binary(bytes))) = from_client.next().await {
            if let Some((&TO_POD, bytes)) = bytes.split_first() {
                shared.state().messages.add(bytes);
                to_pod.write_all(bytes).await?;
            }
        }
        io::Result::Ok(())
    };
    let down = async {
        let mut left = if let Some(How::CutWithin(bytes)) = failure { bytes } else { usize::MAX };
        let mut buffer = vec![0; largest_message.unwrap_or(PIECE)];
        loop {
            let length = from_pod.read(&mut buffer).await?;
            if length == 0 || left == 0 {
                return io::Result::Ok(());
            }
            let length = length.min(left);
            left -= length;
            if let Some(record) = record {
                shared.state().records[record].extend_from_slice(&buffer[..length]);
            }
            to_client.send(message(channel, &buffer[..length])).await.map_err(io::Error::other)?;
        }
    };
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
