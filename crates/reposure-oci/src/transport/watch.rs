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
    /// Whether all of the body was taken, or it was given up.
    ended: AtomicBool,
    bytes: AtomicU64,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerLimits {
    /// From when a piece of the body was taken to when the next one is.
    pub(crate) piece: Duration,
    /// From when the last one was.
    pub(crate) end: Duration,
}

impl Watch {
    /// Returns the body, watched.
    pub(crate) fn over(body: Body) -> (Body, Arc<Self>) {
        let watch = Arc::new(Self {
            start: Instant::now(),
            moved: AtomicU64::new(0),
            starved: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
        });
        (Watched { body, watch: Arc::clone(&watch) }.boxed_unsync(), watch)
    }

    /// Returns how many bytes were taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits for an answer. Returns the limit that was exceeded if there is none.
    ///
    /// The time in which the body itself has nothing to give does not count: its source has its own deadlines.
    pub(crate) async fn answer<F: Future>(
        &self,
        limits: AnswerLimits,
        future: F,
    ) -> Result<F::Output, Duration> {
        let mut future = pin!(future);
        loop {
            let limit = if self.ended.load(Ordering::Relaxed) { limits.end } else { limits.piece };
            let left = limit.saturating_sub(self.idle());
            if left.is_zero() {
                return Err(limit);
            }
            // The body may end while the limit between pieces still runs.
            if let Ok(output) = timeout(left.min(limits.end), &mut future).await {
                return Ok(output);
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
        // A client that knows the length does not ask for more than that, and may keep the body until the answer comes.
        if frame.is_ready() && self.body.size_hint().exact() == Some(0) {
            self.watch.ended.store(true, Ordering::Relaxed);
        }
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
    /// A client drops a body that it has sent. One that it drops while it is starved must not stop the clock for good.
    fn drop(&mut self) {
        self.watch.starved.store(false, Ordering::Relaxed);
        self.watch.ended.store(true, Ordering::Relaxed);
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
    const LIMITS: AnswerLimits = AnswerLimits { piece: LIMIT, end: LIMIT };

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_given_up() {
        let (mut body, watch) = Watch::over(full("abc"));
        body.frame().await.unwrap().unwrap();
        assert_eq!(watch.answer(LIMITS, sleep(LIMIT / 4)).await, Ok(()));
        assert_eq!(watch.answer(LIMITS, std::future::pending::<()>()).await, Err(LIMIT));
        assert_eq!(watch.bytes(), 3);
        drop(body);
        let (body, watch) = Watch::over(full("abc"));
        let slow = AnswerLimits { piece: LIMIT * 100, ..LIMITS };
        let silent = async {
            body.collect().await.unwrap();
            std::future::pending::<()>().await;
        };
        assert_eq!(watch.answer(slow, silent).await, Err(LIMIT));
        let patient = AnswerLimits { end: LIMIT * 100, ..LIMITS };
        assert_eq!(watch.answer(patient, sleep(LIMIT * 2)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_body_may_take_its_time() {
        let frames = stream::iter(0..2).then(|_| async {
            sleep(LIMIT * 2).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        let (body, watch) = Watch::over(StreamBody::new(frames).boxed_unsync());
        let collected = watch.answer(LIMITS, body.collect()).await.unwrap().unwrap();
        assert_eq!(collected.to_bytes().len(), 2);
    }
}
