//! Large reads above TLS.
//!
//! TLS gives one record of at most 16 KiB at a time, and each piece that is read makes a trip of its own through the tasks of an
//! HTTP connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of which a read takes all that is there and fits.
#[derive(Debug)]
pub(super) struct Greedy<S> {
    stream: S,
    /// What happened behind bytes that were there.
    error: Option<io::Error>,
}

/// Takes a stream of HTTP's library for one that is read in large pieces.
pub(super) fn greedy<S>(stream: S) -> TokioIo<Greedy<TokioIo<S>>> {
    TokioIo::new(Greedy::new(TokioIo::new(stream)))
}

impl<S> Greedy<S> {
    const fn new(stream: S) -> Self {
        Self { stream, error: None }
    }
}

impl<S: Connection> Connection for Greedy<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greedy<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let mut before = 0;
        // Until nothing more is there, or the end has been reached.
        while buffer.filled().len() > before && buffer.remaining() > 0 {
            before = buffer.filled().len();
            match Pin::new(&mut self.stream).poll_read(context, buffer) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.error = Some(error),
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greedy<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }
}
