//! Deadlines for answers to requests whose bodies take their time.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use super::{Body, BoxError};

/// Sees from outside how a request's body is taken.
#[derive(Debug)]
pub(crate) struct Watch {
    start: Instant,
    /// When a piece was last taken, in milliseconds after `start`.
    moved: AtomicU64,
    /// Whether the receiver waits for the body rather than the body for the receiver.
    starved: AtomicBool,
    bytes: AtomicU64,
}

impl Watch {
    /// Returns the body, watched.
    pub(crate) fn over(body: Body) -> (Body, Arc<Self>) {
        let watch = Arc::new(Self {
            start: Instant::now(),
            moved: AtomicU64::new(0),
            starved: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
        });
        (Watched { body, watch: Arc::clone(&watch) }.boxed_unsync(), watch)
    }

    /// Returns how many bytes were taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits for an answer, at most `limit` from when the last piece of the body was taken.
    ///
    /// The time in which the body itself has nothing to give does not count: its source has its own deadlines.
    pub(crate) async fn answer<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            let left = limit.checked_sub(self.idle()).filter(|left| !left.is_zero())?;
            if let Ok(output) = timeout(left, &mut future).await {
                return Some(output);
            }
        }
    }

    fn idle(&self) -> Duration {
        if self.starved.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(moved)
    }

    fn note(&self, frame: &Poll<Option<Result<Frame<Bytes>, BoxError>>>) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
        self.starved.store(frame.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Some(Ok(frame))) = frame {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

struct Watched {
    body: Body,
    watch: Arc<Watch>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.watch.note(&frame);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    /// A body that is dropped while it is starved must not stop the clock for good.
    fn drop(&mut self) {
        self.watch.starved.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body_util::StreamBody;
    use tokio::time::sleep;

    use super::*;
    use crate::transport::full;

    const LIMIT: Duration = Duration::from_millis(400);

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_given_up() {
        let (mut body, watch) = Watch::over(full("abc"));
        body.frame().await.unwrap().unwrap();
        assert_eq!(watch.answer(LIMIT, sleep(LIMIT / 4)).await, Some(()));
        assert_eq!(watch.answer(LIMIT, std::future::pending::<()>()).await, None);
        assert_eq!(watch.bytes(), 3);
    }

    #[tokio::test]
    async fn a_body_may_take_its_time() {
        let frames = stream::iter(0..2).then(|_| async {
            sleep(LIMIT * 2).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        let (body, watch) = Watch::over(StreamBody::new(frames).boxed_unsync());
        let collected = watch.answer(LIMIT, body.collect()).await.unwrap().unwrap();
        assert_eq!(collected.to_bytes().len(), 2);
    }
}
