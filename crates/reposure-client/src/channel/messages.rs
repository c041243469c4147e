//! A stream of bytes in the binary messages of a WebSocket.
//!
//! Each message begins with a channel's number; 0 is what goes to the pod. There is no half-close: when either side ends, both do.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut as _, Bytes, BytesMut};
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

/// The largest message, in bytes: larger ones are no faster, and the API server holds each whole. Measured: small ones cost it
/// 28 s of its time for a GiB.
const MESSAGE: usize = 64 << 10;
/// The channel of what goes to the pod.
const TO_POD: u8 = 0;

/// What the messages of a subresource mean.
pub(super) trait Protocol: Unpin {
    /// Takes a message, and returns the data in it.
    ///
    /// # Errors
    /// When it says that there will be no more, or is malformed.
    fn receive(&mut self, message: Bytes) -> io::Result<Bytes>;

    /// Tells whether the end of all messages is one that could be expected.
    ///
    /// # Errors
    /// What the other side said to it.
    fn end(&mut self) -> io::Result<()>;
}

/// The stream.
#[derive(Debug)]
pub(super) struct Messages<P> {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    protocol: P,
    /// What came and was not read yet.
    rest: Bytes,
}

impl<P: Protocol> Messages<P> {
    pub(super) const fn new(socket: WebSocketStream<TokioIo<Upgraded>>, protocol: P) -> Self {
        Self { socket, protocol, rest: Bytes::new() }
    }
}

fn broken(error: SocketError) -> io::Error {
    match error {
        SocketError::Io(error) => error,
        error => io::Error::other(error),
    }
}

impl<P> Connection for Messages<P> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl<P: Protocol> AsyncRead for Messages<P> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(this.socket.poll_next_unpin(context)) {
                Some(Ok(Message::Binary(message))) => this.rest = this.protocol.receive(message)?,
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(this.protocol.end()),
                // Pings are answered by the socket itself.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let length = this.rest.len().min(buffer.remaining());
        buffer.put_slice(&this.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<P: Protocol> AsyncWrite for Messages<P> {
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

/// Makes a message of as much of the pieces as fits.
fn message(pieces: &[IoSlice<'_>]) -> Bytes {
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut message = BytesMut::with_capacity(1 + total.min(MESSAGE));
    message.put_u8(TO_POD);
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
        assert_eq!((message[0], message[1], message[11]), (TO_POD, 1, 2));
    }
}
