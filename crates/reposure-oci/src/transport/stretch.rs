//! A stretch of a body that has more.

use std::{
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::{Body, BoxError, LengthError};

/// Returns the bytes of `range` of a body: what stands before them is read and thrown away, what comes after them is not read.
pub(crate) fn stretch(body: Body, range: Range<u64>) -> Body {
    let length = range.end.saturating_sub(range.start);
    Stretch { body, before: range.start, length, left: length }.boxed_unsync()
}

struct Stretch {
    body: Body,
    before: u64,
    length: u64,
    left: u64,
}

impl Stretch {
    /// Cuts from the next piece what is not wanted.
    fn cut(&mut self, mut piece: Bytes) -> Bytes {
        let before = usize::try_from(self.before).map_or(piece.len(), |before| before.min(piece.len()));
        self.before -= before as u64;
        let mut wanted = piece.split_off(before);
        wanted.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= wanted.len() as u64;
        wanted
    }
}

impl HttpBody for Stretch {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while self.left > 0 {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    let wanted = self.cut(frame.into_data().unwrap_or_default());
                    if !wanted.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(wanted))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let short = LengthError::Short { length: self.length, missing: self.left };
                    return Poll::Ready(Some(Err(short.into())));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{Collected, StreamBody};

    use super::*;

    async fn read(range: Range<u64>) -> Result<Bytes, LengthError> {
        let pieces = ["ab", "", "cde", "f"].map(|piece| Ok(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(stream::iter(pieces)).boxed_unsync();
        let read = stretch(body, range).collect().await;
        read.map(Collected::to_bytes).map_err(|error| *error.downcast::<LengthError>().unwrap())
    }

    #[tokio::test]
    async fn only_the_range_comes() {
        for range in [0..6, 0..1, 1..2, 1..4, 2..5, 5..6, 3..3] {
            let wanted =
                &"abcdef"[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            assert_eq!(read(range).await.unwrap(), wanted);
        }
        assert_eq!(read(4..8).await, Err(LengthError::Short { length: 4, missing: 2 }));
        assert_eq!(read(7..8).await, Err(LengthError::Short { length: 1, missing: 1 }));
    }
}
