//! The surrogate's own answers.

use std::{error::Error, fmt::Write as _};

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use reposure_oci::transport::{self, Body, TransportError};
use reposure_parcel::{
    problem::{Code, Later, Problem},
    wire,
};
use serde::Serialize;

use crate::identifier::Identifier;

/// An answer, of the surrogate's own or of the registry.
pub(crate) type Answer = Response<Body>;

/// Answers with a message.
pub(crate) fn json<T: Serialize>(status: StatusCode, message: &T) -> Answer {
    let bytes = serde_json::to_vec(message).expect("messages hold nothing that JSON cannot");
    let mut answer = Response::new(transport::full(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Answers with metrics.
pub(crate) fn metrics(text: String) -> Answer {
    let mut answer = Response::new(transport::full(text));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// Answers with a status alone.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(transport::empty());
    *answer.status_mut() = status;
    answer
}

/// Answers with a problem.
pub(crate) fn problem(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = json(status, problem);
    answer.headers_mut().insert(HeaderName::from_static(wire::PROBLEM_HEADER), HeaderValue::from_static("1"));
    if let Some(status) = problem.upstream_status {
        answer.headers_mut().insert(HeaderName::from_static(wire::UPSTREAM_STATUS_HEADER), status.into());
    }
    answer
}

/// Answers that the answer comes later.
pub(crate) fn later(result: &Identifier) -> Answer {
    let mut answer = json(StatusCode::ACCEPTED, &Later { result: result.to_string() });
    answer.headers_mut().insert(HeaderName::from_static(wire::RESULT_HEADER), result.to_header());
    answer
}

/// Says that the registry did not answer.
pub(crate) fn unreachable(doing: &str, error: &TransportError) -> Problem {
    let message = format!("{doing}: {}", chain(error));
    let problem = Problem::new(Code::UpstreamUnreachable, message);
    if error.transient { problem.transient() } else { problem }
}

/// Returns an error's text and those of its sources.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
