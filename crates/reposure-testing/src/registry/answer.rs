//! Answers and their parts.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};

use super::{
    options::{DigestHeader, LocationForm},
    shared::Shared,
};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Answer = Response<Body>;

/// Why there is no ordinary answer.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The connection is to be closed.
    Cut,
    /// There is another answer, before the request was read.
    Answer(Box<Answer>),
}

impl From<Answer> for Halt {
    fn from(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

pub(crate) fn bytes(status: StatusCode, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    set(&mut answer, "docker-distribution-api-version", "registry/2.0");
    answer
}

pub(crate) fn status(status: StatusCode) -> Answer {
    bytes(status, Bytes::new())
}

/// An error as the specification has it.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    json(status, &serde_json::json!({"errors": [{"code": code, "message": message, "detail": null}]}))
}

pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut answer = bytes(status, value.to_string());
    set(&mut answer, header::CONTENT_TYPE.as_str(), "application/json");
    answer
}

/// Sets a header; text that no header can hold is left out.
pub(crate) fn set(answer: &mut Answer, name: &str, value: &str) {
    if let Some((name, value)) = header(name, value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Adds a header beside those of the same name; text that no header can hold is left out.
pub(crate) fn add(answer: &mut Answer, name: &str, value: &str) {
    if let Some((name, value)) = header(name, value) {
        answer.headers_mut().append(name, value);
    }
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, value.parse().ok()?))
}

/// Sets `Docker-Content-Digest` as the quirks have it.
pub(crate) fn set_digest(answer: &mut Answer, shared: &Shared, digest: &str) {
    let wrong = super::digest::sha256(b"something else");
    match shared.quirks().digest_header {
        DigestHeader::Right => set(answer, "docker-content-digest", digest),
        DigestHeader::Absent => {}
        DigestHeader::Wrong => set(answer, "docker-content-digest", &wrong),
    }
}

/// Sets `Location` as the quirks have it.
pub(crate) fn set_location(answer: &mut Answer, shared: &Shared, path: &str) {
    let other_scheme = if shared.tls { "http" } else { "https" };
    let location = match shared.quirks().location {
        LocationForm::Relative => path.into(),
        LocationForm::Absolute => format!("{}://{}{path}", shared.scheme(), shared.address),
        LocationForm::OtherScheme => format!("{other_scheme}://{}{path}", shared.address),
        LocationForm::OtherHost(host) => format!("{host}{path}"),
    };
    set(answer, header::LOCATION.as_str(), &location);
}

/// A body that never ends.
pub(crate) fn endless() -> Answer {
    let chunk = Bytes::from(vec![b' '; 64 << 10]);
    let frames = stream::repeat(chunk).map(|chunk| Ok(Frame::data(chunk)));
    let mut answer = status(StatusCode::OK);
    set(&mut answer, header::CONTENT_TYPE.as_str(), "application/json");
    *answer.body_mut() = StreamBody::new(frames).boxed_unsync();
    answer
}

/// Fails once what came before is on its way: the server gives up what it has not sent yet.
async fn cut() -> io::Result<Frame<Bytes>> {
    tokio::time::sleep(Duration::from_millis(50)).await;
    Err(io::ErrorKind::ConnectionReset.into())
}

/// Ends an answer's body after some bytes: by closing the connection, or by silence.
pub(crate) async fn shorten(answer: Answer, length: usize, silent: bool) -> Answer {
    let (mut parts, body) = answer.into_parts();
    let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let start = whole.slice(..length.min(whole.len()));
    let first = stream::iter([Ok(Frame::data(start))]);
    let body = if silent {
        StreamBody::new(first.chain(stream::pending())).boxed_unsync()
    } else {
        StreamBody::new(first.chain(stream::once(cut()))).boxed_unsync()
    };
    Response::from_parts(parts, body)
}
