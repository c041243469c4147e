//! The gate's own answers, in the form of the registry's.
//!
//! See the [error codes](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes).

use http::{HeaderValue, StatusCode, header};
use reposure_parcel::gate::REALM;
use serde_json::json;

use crate::answer::{self, Answer};

/// Says who wants a password, as Distribution does.
pub(super) fn unauthorized() -> Answer {
    let mut answer = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    let challenge = HeaderValue::try_from(format!("Basic realm=\"{REALM}\""));
    let challenge = challenge.expect("a constant of letters and quotes");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    answer
}

/// Says that one may but pull.
pub(super) fn denied() -> Answer {
    error(StatusCode::FORBIDDEN, "DENIED", "this user may pull and do nothing else")
}

/// Says that one should come again.
pub(super) fn busy() -> Answer {
    let message = "too many passwords are being checked";
    let mut answer = error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// Says that a method means nothing here.
pub(super) fn unsupported() -> Answer {
    error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "no registry knows this method")
}

/// Says that the registry behind does not answer.
pub(super) fn unreachable() -> Answer {
    error(StatusCode::BAD_GATEWAY, "UNAVAILABLE", "the registry behind the gate cannot be reached")
}

/// Says that the registry behind took too long.
pub(super) fn late() -> Answer {
    error(StatusCode::GATEWAY_TIMEOUT, "UNAVAILABLE", "the registry behind the gate did not answer in time")
}

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let mut answer =
        answer::json(status, &json!({"errors": [{"code": code, "message": message, "detail": null}]}));
    answer.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    answer
}
