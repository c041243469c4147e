//! What an error of the registry means to a client of the surrogate.

use std::{fmt::Write as _, time::Duration};

use http::{Response, StatusCode};
use reposure_oci::{
    registry::{self, ErrorCode, Failure},
    transport::{self, Body},
};
use reposure_parcel::problem::{Code, Problem};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{answer, body};

/// What is read of an error's body, in bytes.
const BODY: usize = 16 << 10;
/// How long it may take to come.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// What is passed on of each message, in characters.
const MESSAGE: usize = 300;

/// The body of a registry's error.
///
/// See the [distribution specification, "Error Codes"](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes).
#[derive(Debug, Default, Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Debug, Deserialize)]
struct OneError {
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// Makes a problem of what the registry's client met.
pub(crate) fn of(error: &registry::Error) -> Problem {
    let is = |code| error.has_code(&code);
    let code = match &*error.failure {
        _ if error.is_denied() => Code::UpstreamDenied,
        Failure::Transport(_) | Failure::Timeout(_) | Failure::Broken(_) => Code::UpstreamUnreachable,
        Failure::Refused(refusal) => {
            code(refusal.status, is(ErrorCode::DigestInvalid) || is(ErrorCode::SizeInvalid))
        }
        Failure::Digest { .. } | Failure::Size { actual: Some(_), .. } => Code::DigestMismatch,
        _ => Code::UpstreamRefused,
    };
    let problem = Problem::new(code, answer::chain(error)).with_retry_after(error.retry_after());
    let problem = match error.status() {
        Some(status) => problem.with_upstream_status(status.as_u16()),
        None => problem,
    };
    if error.is_transient() { problem.transient() } else { problem }
}

/// Makes a problem of an answer that the gateway does not pass on.
pub(crate) async fn problem(doing: &str, response: Response<Body>) -> Problem {
    let (status, wait) = (response.status(), transport::retry_after(response.headers()));
    let errors = read(response.into_body()).await;
    let mut message = format!("{doing}: the registry answered {status}");
    for error in &errors.errors {
        let text: String = error.message.as_deref().unwrap_or_default().chars().take(MESSAGE).collect();
        // Writing to a string does not fail.
        let _ = write!(message, ": {} {text}", error.code);
    }
    let problem = Problem::new(code(status, false), message.trim_end()).with_retry_after(wait);
    problem.with_upstream_status(status.as_u16())
}

async fn read(body: Body) -> Errors {
    match timeout(BODY_DEADLINE, body::collect(body, BODY)).await {
        Ok(Ok(bytes)) => serde_json::from_slice(&bytes).unwrap_or_default(),
        _ => Errors::default(),
    }
}

fn code(status: StatusCode, is_mismatch: bool) -> Code {
    match status.as_u16() {
        401 | 403 => Code::UpstreamDenied,
        400 if is_mismatch => Code::DigestMismatch,
        429 | 503 => Code::UpstreamBusy,
        _ => Code::UpstreamRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_what_the_registry_says() {
        let body = r#"{"errors":[{"code":"DENIED","message":"requested access is denied","detail":{}}]}"#;
        let response = Response::builder().status(403).body(transport::full(body)).unwrap();
        let problem = problem("cannot GET /v2/", response).await;
        assert_eq!((problem.code, problem.upstream_status), (Code::UpstreamDenied, Some(403)));
        let expected =
            "cannot GET /v2/: the registry answered 403 Forbidden: DENIED requested access is denied";
        assert_eq!(problem.message, expected);
    }

    #[tokio::test]
    async fn a_page_for_people_is_not_passed_on() {
        let response = Response::builder().status(413).body(transport::full("<html>no JSON</html>")).unwrap();
        let problem = problem("cannot PUT /v2/a", response).await;
        assert_eq!(problem.code, Code::UpstreamRefused);
        assert_eq!(problem.message, "cannot PUT /v2/a: the registry answered 413 Payload Too Large");
    }
}
