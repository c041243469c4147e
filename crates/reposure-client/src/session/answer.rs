//! Telling whose answer it is: the surrogate's, the registry's through it, or the API server's own.

use http::{HeaderMap, Response, StatusCode};
use reposure_oci::{Body, transport::retry_after};
use reposure_parcel::{
    problem::{Code, Problem},
    wire,
};

use super::{SessionError, collect};
use crate::{channel::Channel, text::plain};

/// What is read of an error's body, in bytes.
const ERROR_BODY: usize = 64 << 10;

/// Tells whether the surrogate sent the answer, by the header that every answer of its own has.
pub(super) fn is_of_surrogate<B>(response: &Response<B>) -> bool {
    response.headers().contains_key(wire::VERSION_HEADER)
}

/// Returns where the answer will be, if this one says that it takes longer.
pub(super) fn late<B>(response: &Response<B>) -> Option<String> {
    if response.status() != StatusCode::ACCEPTED || !is_of_surrogate(response) {
        return None;
    }
    let result = header(response.headers(), wire::RESULT_HEADER)?;
    let is_identifier = !result.is_empty() && result.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_identifier.then(|| result.to_owned())
}

/// Passes on what the surrogate or, through it, the registry answered, and turns the rest into errors.
pub(super) async fn checked(
    response: Response<Body>,
    channel: &dyn Channel,
    path: &str,
) -> Result<Response<Body>, SessionError> {
    if !is_of_surrogate(&response) {
        return Err(of_api_server(response, path).await);
    }
    if response.headers().contains_key(wire::PROBLEM_HEADER) {
        return Err(of_surrogate(response, channel, path).await);
    }
    Ok(response)
}

async fn of_surrogate(response: Response<Body>, channel: &dyn Channel, path: &str) -> SessionError {
    let embedded = channel.is_embedded();
    let said = |status, problem| SessionError::Problem { path: path.into(), status, embedded, problem };
    let (status, headers) = (response.status(), response.headers().clone());
    match collect(response.into_body(), path, ERROR_BODY).await {
        Err(error) => error,
        Ok(bytes) if bytes.is_empty() => said(status, unsaid(status, &headers)),
        Ok(bytes) => match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => said(status, Problem { message: plain(&problem.message), ..problem }),
            Err(source) => SessionError::Malformed { path: path.into(), source: source.into() },
        },
    }
}

/// Makes a problem of what the headers say, where there is no body: in answers to `HEAD`.
fn unsaid(status: StatusCode, headers: &HeaderMap) -> Problem {
    let upstream =
        header(headers, wire::UPSTREAM_STATUS_HEADER).and_then(|status| status.parse::<u16>().ok());
    let code = match (upstream, status.as_u16()) {
        (Some(401 | 403), _) => Code::UpstreamDenied,
        (Some(429 | 503), _) => Code::UpstreamBusy,
        (Some(_), _) => Code::UpstreamRefused,
        (None, 401) => Code::Unauthorized,
        (None, 403) => Code::Forbidden,
        (None, 502..=504) => Code::UpstreamUnreachable,
        (None, _) => Code::Unknown,
    };
    let problem = match upstream {
        Some(upstream) => {
            Problem::new(code, format!("the registry answered {upstream}")).with_upstream_status(upstream)
        }
        None => Problem::new(code, format!("the surrogate answered {status}")),
    };
    let is_transient = matches!(code, Code::UpstreamBusy | Code::UpstreamUnreachable);
    if is_transient { problem.transient() } else { problem }
}

/// Reads the message of a Kubernetes `Status`, or the beginning of whatever a middle box sent.
async fn of_api_server(response: Response<Body>, path: &str) -> SessionError {
    #[derive(serde::Deserialize)]
    struct Status {
        message: String,
    }
    /// What is shown of a text that is no `Status`, in characters.
    const EXCERPT: usize = 200;

    let status = response.status();
    let retry_after = retry_after(response.headers()).and_then(|wait| u32::try_from(wait.as_secs()).ok());
    let message = match collect(response.into_body(), path, ERROR_BODY).await {
        Ok(bytes) => match serde_json::from_slice::<Status>(&bytes) {
            Ok(status) => plain(&status.message),
            Err(_) => plain(&String::from_utf8_lossy(&bytes)).chars().take(EXCERPT).collect(),
        },
        Err(_) => String::new(),
    };
    SessionError::ApiServer { path: path.into(), status, message, retry_after }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
