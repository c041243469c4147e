//! Bodies of a known length.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::{Body, BoxError};

/// A body has another length than was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// It ended early.
    #[error("the body ended {missing} bytes before its {length}")]
    Short {
        /// The length that was said, in bytes.
        length: u64,
        /// What is missing of it, in bytes.
        missing: u64,
    },
    /// It went on.
    #[error("the body goes on after its {length} bytes")]
    Long {
        /// The length that was said, in bytes.
        length: u64,
    },
}

/// Returns a body that fails unless it has exactly `length` bytes.
pub(crate) fn exact(body: Body, length: u64) -> Body {
    Exact { body, length, left: length }.boxed_unsync()
}

struct Exact {
    body: Body,
    length: u64,
    left: u64,
}

impl Exact {
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.left = self.left.checked_sub(bytes).ok_or(LengthError::Long { length: self.length })?;
        Ok(frame)
    }

    fn end(&self) -> Option<Result<Frame<Bytes>, BoxError>> {
        let short = LengthError::Short { length: self.length, missing: self.left };
        (self.left > 0).then(|| Err(short.into()))
    }
}

impl HttpBody for Exact {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(frame) => Poll::Ready(Some(frame.and_then(|frame| self.count(frame)))),
            None => Poll::Ready(self.end()),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::full;

    async fn collect(body: Body) -> Result<usize, LengthError> {
        let result = body.collect().await;
        result.map(|all| all.to_bytes().len()).map_err(|error| *error.downcast::<LengthError>().unwrap())
    }

    #[tokio::test]
    async fn a_body_of_another_length_fails() {
        assert_eq!(collect(exact(full("abc"), 3)).await, Ok(3));
        assert_eq!(collect(exact(full("abc"), 4)).await, Err(LengthError::Short { length: 4, missing: 1 }));
        assert_eq!(collect(exact(full("abc"), 2)).await, Err(LengthError::Long { length: 2 }));
    }
}
