//! What an error of the registry means to a client of the surrogate.

use std::{fmt::Write as _, time::Duration};

use http::{Response, StatusCode};
use reposure_oci::transport::Body;
use reposure_parcel::problem::{Code, Problem};
use serde::Deserialize;
use tokio::time::timeout;

use crate::body;

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

/// Makes a problem of an error of the registry's.
pub(crate) async fn problem(doing: &str, response: Response<Body>) -> Problem {
    let status = response.status();
    let errors = read(response.into_body()).await;
    let code = code(status, &errors);
    let mut message = format!("{doing}: the registry answered {status}");
    for error in &errors.errors {
        let text: String = error.message.as_deref().unwrap_or_default().chars().take(MESSAGE).collect();
        // Writing to a string does not fail.
        let _ = write!(message, ": {} {text}", error.code);
    }
    let problem = Problem::new(code, message.trim_end()).with_upstream_status(status.as_u16());
    if is_transient(status) { problem.transient() } else { problem }
}

async fn read(body: Body) -> Errors {
    match timeout(BODY_DEADLINE, body::collect(body, BODY)).await {
        Ok(Ok(bytes)) => serde_json::from_slice(&bytes).unwrap_or_default(),
        _ => Errors::default(),
    }
}

fn code(status: StatusCode, errors: &Errors) -> Code {
    let is = |code: &str| errors.errors.iter().any(|error| error.code == code);
    match status.as_u16() {
        401 | 403 => Code::UpstreamDenied,
        400 if is("DIGEST_INVALID") || is("SIZE_INVALID") => Code::DigestMismatch,
        429 | 503 => Code::UpstreamBusy,
        _ => Code::UpstreamRefused,
    }
}

/// The statuses that go-containerregistry tries again, too.
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reposure_oci::transport;

    async fn of(status: u16, body: &'static str) -> Problem {
        let response = Response::builder().status(status).body(transport::full(body)).unwrap();
        problem("cannot push", response).await
    }

    #[tokio::test]
    async fn names_what_the_registry_says() {
        let body =
            r#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match","detail":{}}]}"#;
        let problem = of(400, body).await;
        assert_eq!(
            (problem.code, problem.upstream_status, problem.transient),
            (Code::DigestMismatch, Some(400), false)
        );
        assert_eq!(
            problem.message,
            "cannot push: the registry answered 400 Bad Request: DIGEST_INVALID provided digest did not match"
        );
    }

    #[tokio::test]
    async fn sorts_statuses() {
        for (status, code, transient) in [
            (400, Code::UpstreamRefused, false),
            (401, Code::UpstreamDenied, false),
            (403, Code::UpstreamDenied, false),
            (413, Code::UpstreamRefused, false),
            (429, Code::UpstreamBusy, true),
            (500, Code::UpstreamRefused, true),
            (503, Code::UpstreamBusy, true),
            (507, Code::UpstreamRefused, false),
        ] {
            let problem = of(status, "<html>no JSON</html>").await;
            assert_eq!((problem.code, problem.transient), (code, transient), "{status}");
        }
    }
}
