//! Bytes that mean nothing, for those who time the way.

use std::{iter, sync::OnceLock};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use rand::RngCore as _;
use reposure_oci::{Body, transport::BoxError};
use reposure_parcel::{
    probe::LIMIT,
    problem::{Code, Problem},
};

use crate::{
    answer::{self, Answer},
    body,
};

/// What is repeated, in bytes: more than the window of gzip, so that it finds nothing to compress.
const BLOCK: usize = 64 << 10;

/// Answers with as many bytes as are wanted.
pub(crate) fn give(length: u64) -> Result<Answer, Problem> {
    check(length)?;
    let block = block();
    let mut left = usize::try_from(length).unwrap_or_default();
    let pieces = iter::from_fn(move || {
        let piece = block.slice(..left.min(BLOCK));
        left -= piece.len();
        (!piece.is_empty()).then(|| Ok::<_, BoxError>(Frame::data(piece)))
    });
    let mut answer = Answer::new(StreamBody::new(stream::iter(pieces)).boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(answer)
}

fn block() -> Bytes {
    static BLOCK_OF_ALL: OnceLock<Bytes> = OnceLock::new();
    let random = || {
        let mut block = vec![0; BLOCK];
        rand::rng().fill_bytes(&mut block);
        block.into()
    };
    BLOCK_OF_ALL.get_or_init(random).clone()
}

/// Reads a body and throws it away.
pub(crate) async fn take(headers: &HeaderMap, incoming: Body) -> Result<Answer, Problem> {
    check(body::length(headers).unwrap_or_default())?;
    let (mut incoming, mut read) = (body::with_deadline(incoming), 0);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(Code::BadRequest, format!("the body broke off: {error}")).transient()
        })?;
        read += frame.data_ref().map_or(0, Bytes::len) as u64;
        check(read)?;
    }
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

fn check(length: u64) -> Result<(), Problem> {
    if length <= LIMIT {
        return Ok(());
    }
    Err(Problem::new(Code::TooLarge, format!("a probe of {length} bytes is over the limit of {LIMIT}")))
}
