//! A stream of bytes in the binary messages of a WebSocket.
//!
//! There is no half-close: when either side ends, both do.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use hyper_util::client::legacy::connect::{Connected, Connection};
use reposure_parcel::session::FRAME;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::{
    protocol::{HEAD, Protocol, State},
    upgrade::Socket,
};

/// What goes before the content of a frame of HTTP/2, in bytes. See [RFC 9113, 4.1][1].
///
/// [1]: https://www.rfc-editor.org/rfc/rfc9113#section-4.1
const FRAME_HEAD: usize = 9;
/// The largest message, in bytes: larger ones are no faster, and the API server holds each whole. Measured: small ones cost it
/// 28 s of its time for a GiB. It holds a whole frame, whose last bytes would else be a message of their own.
const MESSAGE: usize = FRAME as usize + FRAME_HEAD;
/// How long the node may take to open a stream once the API server has said yes, as it is for a greeting.
const OPENING: Duration = Duration::from_secs(10);
/// How long an end may lack what is to be said of it: container runtimes say it at once.
const ENDING: Duration = Duration::from_secs(2);

/// The stream.
#[derive(Debug)]
pub(super) struct Messages<P> {
    socket: Socket,
    protocol: P,
    /// What came and was not received yet.
    came: Bytes,
    /// What was received and not read yet.
    rest: Bytes,
    /// By when a stream that is ending has ended.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<P: Protocol> Messages<P> {
    /// Takes a socket on which the stream is open at once.
    pub(super) const fn new(socket: Socket, protocol: P) -> Self {
        Self { socket, protocol, came: Bytes::new(), rest: Bytes::new(), deadline: None }
    }

    /// Takes a socket, and waits until the stream is open.
    ///
    /// # Errors
    /// When it is refused, or nobody says anything in time.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection.
    pub(super) async fn open(socket: Socket, protocol: P) -> io::Result<Self> {
        let mut stream = Self::new(socket, protocol);
        let opened = timeout(OPENING, poll_fn(|context| stream.poll_open(context))).await;
        let silent = || {
            let text = format!("the node opened no stream within {} s", OPENING.as_secs());
            io::Error::new(io::ErrorKind::TimedOut, text)
        };
        opened.unwrap_or_else(|_| Err(silent()))?;
        Ok(stream)
    }

    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_owed(context))?;
        while self.protocol.state() == State::Opening {
            if !ready!(self.poll_receive(context))? {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what goes before all else.
    fn poll_owed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.socket.poll_ready_unpin(context)).map_err(broken)?;
        if let Some(owed) = self.protocol.owed() {
            self.socket.start_send_unpin(Message::Binary(owed)).map_err(broken)?;
            return self.socket.poll_flush_unpin(context).map_err(broken);
        }
        Poll::Ready(Ok(()))
    }

    /// Receives some more, and tells whether there was any.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.came.is_empty() {
            match ready!(self.socket.poll_next_unpin(context)) {
                Some(Ok(Message::Binary(message))) => self.came = message,
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(Ok(false)),
                // Pings are answered by the socket itself.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        self.rest = self.protocol.receive(&mut self.came)?;
        // What cannot be sent now goes before the next message.
        if let Poll::Ready(sent) = self.poll_owed(context) {
            sent?;
        }
        Poll::Ready(Ok(true))
    }

    /// Waits no longer for a word than it may take.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.deadline.get_or_insert_with(|| Box::pin(sleep(ENDING))).as_mut().poll(context)
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
            let ends = match this.protocol.state() {
                State::Opening | State::Open => false,
                State::Ending => this.poll_deadline(context).is_ready(),
                State::Ended => true,
            };
            if ends || !ready!(this.poll_receive(context))? {
                return Poll::Ready(this.protocol.end());
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
        ready!(self.poll_owed(context))?;
        let (message, length) = message(&self.protocol, pieces);
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

/// Makes a message of as much of the pieces as fits, and tells how much that is.
fn message(protocol: &impl Protocol, pieces: &[IoSlice<'_>]) -> (Bytes, usize) {
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    let length = total.min(MESSAGE);
    let mut message = BytesMut::with_capacity(HEAD + length);
    protocol.begin(length, &mut message);
    let end = message.len() + length;
    for piece in pieces {
        let left = end - message.len();
        message.put_slice(&piece[..piece.len().min(left)]);
    }
    (message.freeze(), length)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{forwarded_port::ForwardedPort, tunnelled_port::TunnelledPort},
        *,
    };

    #[test]
    fn a_message_is_not_too_large() {
        let (small, large) = ([1; 10], vec![2; MESSAGE]);
        let pieces = [IoSlice::new(&small), IoSlice::new(&large), IoSlice::new(&small)];
        let (whole, length) = message(&ForwardedPort::new(), &pieces);
        assert_eq!((whole.len(), length), (1 + MESSAGE, MESSAGE));
        assert_eq!((whole[0], whole[1], whole[11]), (0, 1, 2));
        let (framed, length) = message(&TunnelledPort::new(1), &pieces[..1]);
        assert_eq!((&framed[..], length), (&[&[0, 0, 0, 3, 0, 0, 0, 10], &small[..]].concat()[..], 10));
    }
}
