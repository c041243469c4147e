//! Reading bodies, which are as slow and as long as others make them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use reposure_oci::transport::{Body, BoxError, stalling};
use reposure_parcel::{
    limits::{JSON_BODY, LARGEST_CHUNK},
    problem::{Code, Problem},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// How long a body may bring nothing.
pub(crate) const STALL_DEADLINE: Duration = Duration::from_secs(60);
/// How long a message may take to come.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(10);

/// Returns the length that a body was announced with.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a message.
pub(crate) async fn message<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let bytes = bytes(body, JSON_BODY).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Code::BadRequest, format!("the message is malformed: {error}")))
}

/// Reads what is to come within [`MESSAGE_DEADLINE`], at most `limit` bytes.
pub(crate) async fn bytes(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let collected = timeout(MESSAGE_DEADLINE, collect(body, limit))
        .await
        .map_err(|_| Problem::new(Code::BadRequest, "the message stalled").transient())?;
    collected.map_err(|error| unreadable(&error, limit))
}

fn unreadable(error: &BoxError, limit: usize) -> Problem {
    if error.is::<OverLimit>() {
        Problem::new(Code::TooLarge, format!("the message is over the limit of {limit} bytes"))
    } else {
        Problem::new(Code::BadRequest, format!("cannot read the message: {error}")).transient()
    }
}

/// A body is over its limit.
#[derive(Debug, thiserror::Error)]
#[error("the body is over the limit of {0} bytes")]
pub(crate) struct OverLimit(usize);

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn collect(mut body: Body, limit: usize) -> Result<Bytes, BoxError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(bytes) = frame?.into_data() {
            if whole.len() + bytes.len() > limit {
                return Err(OverLimit(limit).into());
            }
            whole.extend_from_slice(&bytes);
        }
    }
    Ok(whole.freeze())
}

/// Reads a body that nobody wants, in a task that has a deadline, so that its connection stays usable.
pub(crate) fn drain(headers: &HeaderMap, body: Body) {
    // Who waits for a `100 Continue` sends nothing unless the body is asked for.
    if headers.contains_key(header::EXPECT) || length(headers).is_none_or(|length| length > LARGEST_CHUNK) {
        return;
    }
    tokio::spawn(timeout(STALL_DEADLINE, async move {
        let mut body = body;
        while let Some(Ok(_)) = body.frame().await {}
    }));
}

/// Returns the body with a deadline for each piece, which counts only while one is waited for.
pub(crate) fn with_deadline<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    stalling(body.map_err(Into::into).boxed_unsync(), STALL_DEADLINE)
}
