//! The bytes of an upload as the body of a request to the registry.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use reposure_oci::transport::{Body, BoxError};

use super::upload::Upload;

/// The registry's request ends, because the upload did.
#[derive(Debug, thiserror::Error)]
#[error("the upload ended")]
struct Ended;

struct Feed {
    upload: Arc<Upload>,
    /// What is left, where the length is known.
    left: Option<u64>,
}

/// Returns the next bytes as they come, in order: `length` of them, where it is given, which ends with the blob or with a segment;
/// else all to the end of the blob.
pub(super) fn body(upload: Arc<Upload>, length: Option<u64>) -> Body {
    Feed { upload, left: length }.boxed_unsync()
}

impl HttpBody for Feed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.upload.poll_next(context)) {
            None => None,
            Some(Err(_)) => Some(Err(Ended.into())),
            Some(Ok(stretch)) => {
                let bytes = self.upload.leaving(stretch);
                self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                Some(Ok(Frame::data(bytes)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
