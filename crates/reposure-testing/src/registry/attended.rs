//! Bodies of answers that tell whether they were taken to their end.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{answer::Body, shared::Shared};

/// How much is given at once, in bytes: what was given is not seen to be left.
const PIECE: usize = 64 << 10;

/// A body that is given in pieces, and notes in the log if the client leaves before its end.
pub(super) struct Attended {
    body: Body,
    rest: Bytes,
    begun: bool,
    ended: bool,
    shared: Arc<Shared>,
    number: usize,
}

impl Attended {
    pub(super) fn new(body: Body, shared: Arc<Shared>, number: usize) -> Self {
        Self { body, rest: Bytes::new(), begun: false, ended: false, shared, number }
    }
}

impl http_body::Body for Attended {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.begun = true;
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => {
                    self.ended = other.is_none();
                    return Poll::Ready(other);
                }
            }
        }
        let length = PIECE.min(self.rest.len());
        let piece = self.rest.split_to(length);
        self.ended = self.is_end_stream();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, inner) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + left);
        }
        hint.set_lower(inner.lower() + left);
        hint
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        // Of an answer to HEAD nothing is taken.
        if self.begun && !self.ended {
            self.shared.log.abandoned(self.number);
        }
    }
}
