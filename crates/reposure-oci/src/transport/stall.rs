//! Bodies that may not go silent.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep};

use super::{Body, BoxError};

/// A body went silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no byte came for {} s", .0.as_secs_f32())]
struct Stalled(Duration);

/// Returns a body that fails once its reader has waited for `limit`.
///
/// The time in which nobody reads does not count.
pub fn stalling(body: Body, limit: Duration) -> Body {
    Stalling { body, limit, waiting: false, alarm: Box::pin(sleep(limit)) }.boxed_unsync()
}

struct Stalling {
    body: Body,
    limit: Duration,
    waiting: bool,
    alarm: Pin<Box<Sleep>>,
}

impl Stalling {
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<BoxError> {
        if !self.waiting {
            self.waiting = true;
            let end = Instant::now() + self.limit;
            self.alarm.as_mut().reset(end);
        }
        self.alarm.as_mut().poll(context).map(|()| Stalled(self.limit).into())
    }
}

impl HttpBody for Stalling {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = false;
            return Poll::Ready(frame);
        }
        self.poll_alarm(context).map(|error| Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::StreamBody;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(400);

    fn frames(gap: Duration, count: usize) -> Body {
        let frames = stream::iter(0..count).then(move |_| async move {
            sleep(gap).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    #[tokio::test]
    async fn only_silence_fails() {
        let slow = stalling(frames(LIMIT / 4, 6), LIMIT);
        assert_eq!(slow.collect().await.unwrap().to_bytes().len(), 6);
        let silent = stalling(frames(LIMIT * 2, 1), LIMIT);
        assert!(silent.collect().await.unwrap_err().is::<Stalled>());
    }

    #[tokio::test]
    async fn a_reader_may_take_its_time() {
        let mut body = stalling(frames(LIMIT / 2, 3), LIMIT);
        for _ in 0..3 {
            sleep(LIMIT * 2).await;
            body.frame().await.unwrap().unwrap();
        }
    }
}
