//! A port of a pod as a stream of bytes, in a WebSocket of the API server's.
//!
//! Each message begins with a channel's number: 0 for data, 1 for an error's text. The first two bytes of either channel are the
//! port's number. There is no half-close: when either side ends, both do. See [the kubelet's `portforward` over WebSockets][1].
//!
//! [1]: https://pkg.go.dev/k8s.io/kubelet/pkg/cri/streaming/portforward

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error as SocketError, Message},
};

use crate::text::plain;

/// The largest message, in bytes: larger ones are no faster, and the API server holds each whole. Measured: small ones cost it
/// 28 s of its time for a GiB.
const MESSAGE: usize = 64 << 10;
/// The length of a port's number at the start of each channel, in bytes.
const PORT: usize = 2;
const DATA: u8 = 0;
const ERROR: u8 = 1;
/// How much of an error's text is shown, in characters.
const EXCERPT: usize = 500;

/// A forwarded port.
#[derive(Debug)]
pub(super) struct Tunnel {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    /// What came and was not read yet.
    rest: Bytes,
    /// How much of the port's number is still to come, on either channel.
    ports: [usize; 2],
}

impl Tunnel {
    pub(super) const fn new(socket: WebSocketStream<TokioIo<Upgraded>>) -> Self {
        Self { socket, rest: Bytes::new(), ports: [PORT; 2] }
    }

    /// Takes the data out of a message.
    fn receive(&mut self, mut message: Bytes) -> io::Result<()> {
        let Some(channel) = message.first().copied() else { return Ok(()) };
        message.advance(1);
        let Some(port) = self.ports.get_mut(usize::from(channel)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("there is no channel {channel}")));
        };
        let skipped = message.len().min(*port);
        *port -= skipped;
        message.advance(skipped);
        match channel {
            DATA => self.rest = message,
            ERROR if !message.is_empty() => return Err(refused(&message)),
            _ => {}
        }
        Ok(())
    }
}

/// What the kubelet says of a port that it does not reach.
fn refused(message: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(message);
    let text: String = plain(text.trim()).chars().take(EXCERPT).collect();
    io::Error::new(io::ErrorKind::ConnectionRefused, text)
}

fn broken(error: SocketError) -> io::Error {
    match error {
        SocketError::Io(error) => error,
        error => io::Error::other(error),
    }
}

impl Connection for Tunnel {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.socket.poll_next_unpin(context)) {
                Some(Ok(Message::Binary(message))) => self.receive(message)?,
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(Ok(())),
                // Pings are answered by the socket itself.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.socket.poll_ready_unpin(context)).map_err(broken)?;
        let message = message(pieces);
        let length = message.len() - 1;
        self.socket.start_send_unpin(Message::Binary(message)).map_err(broken)?;
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush_unpin(context).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_close_unpin(context).map_err(broken)
    }
}

/// Makes a message of data, of as much of the pieces as fits.
fn message(pieces: &[IoSlice<'_>]) -> Bytes {
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut message = BytesMut::with_capacity(1 + total.min(MESSAGE));
    message.put_u8(DATA);
    for piece in pieces {
        let left = 1 + MESSAGE - message.len();
        message.put_slice(&piece[..piece.len().min(left)]);
    }
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_not_too_large() {
        let (small, large) = ([1; 10], vec![2; MESSAGE]);
        let message = message(&[IoSlice::new(&small), IoSlice::new(&large), IoSlice::new(&small)]);
        assert_eq!(message.len(), 1 + MESSAGE);
        assert_eq!((message[0], message[1], message[11]), (DATA, 1, 2));
    }
}
