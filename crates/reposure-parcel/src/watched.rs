//! A stream that is given up when it is silent for too long.
//!
//! HTTP/2 asks for signs of life, but takes nothing for one but the answer to its question, which waits behind all that is on its way:
//! minutes on a poor link. Here every byte is one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// A stream whose reads and writes fail once it has been silent for so long.
///
/// What comes is a sign of life. So is room for what goes, where there was none: a slow way up may have nothing to bring for a while.
/// One task is to read and to write, as that of a connection of HTTP does: the last one that waited is the one that is told.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    limit: Duration,
    heard: Instant,
    /// Whether the last write, and the last flush, found no room.
    is_full: [bool; 2],
    deadline: Pin<Box<Sleep>>,
}

/// The kinds of what is sent, each with a flag of its own: what is written may find room before what is in the way of a flush has gone.
const WRITE: usize = 0;
const FLUSH: usize = 1;

impl<S> Watched<S> {
    /// Watches a stream from now on. Something has to ask the other side for bytes, more often than `limit`.
    pub fn new(stream: S, limit: Duration) -> Self {
        let heard = Instant::now();
        Self { stream, limit, heard, is_full: [false; 2], deadline: Box::pin(sleep_until(heard + limit)) }
    }

    fn note(&mut self) {
        self.heard = Instant::now();
    }

    /// Waits for what is not ready, and fails once nothing was heard for too long.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        while self.deadline.as_mut().poll(context).is_ready() {
            let end = self.heard + self.limit;
            if end <= Instant::now() {
                let message = format!("nothing came for {} s", self.limit.as_secs());
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
            }
            self.deadline.as_mut().reset(end);
        }
        Poll::Pending
    }

    /// Takes what came of a write or a flush.
    fn sent<T>(
        &mut self,
        kind: usize,
        context: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let was_full = std::mem::replace(&mut self.is_full[kind], done.is_pending());
        if done.is_ready() {
            if was_full {
                self.note();
            }
            return done;
        }
        self.wait(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        if done.is_ready() {
            self.note();
            return done;
        }
        self.wait(context)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(WRITE, context, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.sent(FLUSH, context, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        self.sent(FLUSH, context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.sent(WRITE, context, done)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::sleep,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);
    const BEAT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn every_byte_that_comes_is_a_sign_of_life() {
        let (ours, mut theirs) = duplex(1024);
        let mut watched = Watched::new(ours, LIMIT);
        let other = tokio::spawn(async move {
            for _ in 0..20 {
                sleep(BEAT).await;
                theirs.write_all(b"x").await.unwrap();
            }
            theirs
        });
        watched.read_exact(&mut [0; 20]).await.unwrap();
        let theirs = other.await.unwrap();
        let silent = Instant::now();
        let error = watched.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(silent.elapsed() >= LIMIT);
        drop(theirs);
    }

    #[tokio::test]
    async fn so_is_room_for_what_goes() {
        let (ours, mut theirs) = duplex(1);
        let (mut from, mut to) = tokio::io::split(Watched::new(ours, LIMIT));
        let other = tokio::spawn(async move {
            for _ in 0..20 {
                sleep(BEAT).await;
                theirs.read_u8().await.unwrap();
            }
            // From now on it takes nothing.
            (theirs, Instant::now())
        });
        let (written, read) = tokio::join!(to.write_all(&[0; 100]), from.read_u8());
        assert!(written.is_err() && read.is_err());
        let (_theirs, silent) = other.await.expect("it lives as long as anything goes");
        assert!(silent.elapsed() >= LIMIT / 2);
    }
}
