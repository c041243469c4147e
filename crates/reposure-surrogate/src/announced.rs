//! A body that tells when it was read to its end, or dropped.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use reposure_oci::transport::{Body, BoxError};
use tokio::sync::oneshot;

/// Returns the body, and what is done when it was read to its end or dropped. An empty one is done at once.
pub(crate) fn announced(body: Body) -> (Body, oneshot::Receiver<()>) {
    let (done, sent) = oneshot::channel();
    if body.is_end_stream() {
        return (body, sent);
    }
    (Announced { body, done: Some(done) }.boxed_unsync(), sent)
}

struct Announced {
    body: Body,
    done: Option<oneshot::Sender<()>>,
}

impl HttpBody for Announced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.done = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
