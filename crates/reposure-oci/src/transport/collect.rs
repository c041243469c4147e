//! Whole bodies in memory, with a limit.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::{Body, BoxError};

/// Why there is no whole body.
#[derive(Debug)]
pub(crate) enum CollectError {
    /// It is over the limit, in bytes.
    TooLarge(usize),
    /// It broke off.
    Broken(BoxError),
}

/// Reads a whole body of at most `limit` bytes. A body of one piece is not copied.
pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Bytes, CollectError> {
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(CollectError::Broken)?.into_data().unwrap_or_default();
        if data.len() > limit - first.len().max(rest.len()) {
            return Err(CollectError::TooLarge(limit));
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        rest.extend_from_slice(&std::mem::take(&mut first));
        rest.extend_from_slice(&data);
    }
    Ok(if first.is_empty() { rest.freeze() } else { first })
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn pieces(pieces: &[&'static str]) -> Body {
        let frames: Vec<Result<_, BoxError>> =
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    #[tokio::test]
    async fn pieces_are_joined_up_to_the_limit() {
        assert_eq!(collect(pieces(&["", "a", "bc", "", "d"]), 4).await.unwrap(), "abcd");
        assert_eq!(collect(pieces(&["abcd"]), 4).await.unwrap(), "abcd");
        assert_eq!(collect(pieces(&[]), 4).await.unwrap(), "");
        for over in [&["abcde"][..], &["ab", "cde"], &["a", "b", "c", "de"]] {
            assert!(matches!(collect(pieces(over), 4).await, Err(CollectError::TooLarge(4))));
        }
    }
}
