//! What the API server says no by.

use http::StatusCode;
use reposure_parcel::problem::{Code, Problem};
use serde::Deserialize;

use crate::api_server::Answered;

/// What is passed on of a message, in characters.
const MESSAGE: usize = 300;

/// The part of a `Status` that is for people.
#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
}

/// Makes a problem of a status that is an error.
pub(super) fn of(doing: &str, answered: &Answered) -> Problem {
    let status = answered.status;
    let said: Status = serde_json::from_slice(&answered.body).unwrap_or_default();
    let said: String = said.message.chars().filter(|c| !c.is_control()).take(MESSAGE).collect();
    let mut message = format!("{doing}: the API server answered {status}");
    for part in [said.as_str(), advice(status)] {
        if !part.is_empty() {
            message.push_str(": ");
            message.push_str(part);
        }
    }
    let (code, transient) = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (Code::UpstreamDenied, false),
        StatusCode::GONE | StatusCode::CONFLICT => (Code::UpstreamRefused, true),
        StatusCode::TOO_MANY_REQUESTS => (Code::UpstreamBusy, true),
        status if status.is_server_error() => (Code::UpstreamBusy, true),
        _ => (Code::UpstreamRefused, false),
    };
    let problem = Problem::new(code, message).with_upstream_status(status.as_u16());
    if transient { problem.transient() } else { problem }
}

/// Returns what may help.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "the surrogate's ServiceAccount lacks a right in the project, which reposure registry create gives it"
        }
        StatusCode::GONE => "the list has changed meanwhile; list again",
        StatusCode::NOT_FOUND => "there are ImageStreams on OpenShift alone",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: StatusCode, body: &str) -> Problem {
        of("cannot list", &Answered { status, body: body.to_owned().into() })
    }

    #[test]
    fn who_may_not_is_told_what_is_missing() {
        let denied =
            problem(StatusCode::FORBIDDEN, r#"{"kind":"Status","message":"imagestreams is forbidden"}"#);
        assert_eq!((denied.code, denied.upstream_status), (Code::UpstreamDenied, Some(403)));
        assert_eq!(
            denied.message,
            "cannot list: the API server answered 403 Forbidden: imagestreams is forbidden: the surrogate's \
             ServiceAccount lacks a right in the project, which reposure registry create gives it"
        );
    }

    #[test]
    fn a_list_that_went_stale_may_be_asked_for_again() {
        assert!(problem(StatusCode::GONE, "").transient);
        assert!(problem(StatusCode::SERVICE_UNAVAILABLE, "<html>").transient);
        assert!(!problem(StatusCode::NOT_FOUND, "").transient);
    }
}
