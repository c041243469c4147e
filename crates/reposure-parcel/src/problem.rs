//! Errors of a surrogate's own, and late answers.

use std::{num::NonZeroU16, time::Duration};

use serde::{Deserialize, Serialize};

/// An error, the JSON body of every status of a surrogate's own from 400.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What a program goes by.
    pub code: Code,
    /// What a person reads: what was being done, to what, and what came of it.
    pub message: String,
    /// The status that the registry gave, if it is due to the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub transient: bool,
    /// How many seconds the registry wants the same request to wait, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<NonZeroU16>,
}

/// The kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The request is malformed. 400.
    BadRequest,
    /// The token is missing, expired, forged, or for another registry. Nothing more is said. 401.
    Unauthorized,
    /// The token is good, but not for this. 403.
    Forbidden,
    /// There is no such path, upload or result. 404.
    NotFound,
    /// The upload is already committed, or another was committed under its digest. 409.
    Conflict,
    /// The chunk is outside of the window. 409.
    OutsideWindow,
    /// A body is over its limit. 413.
    TooLarge,
    /// The bytes have another digest or size than was said. 422.
    DigestMismatch,
    /// Too many uploads are open. 429.
    TooManyUploads,
    /// The keys to check tokens by cannot be had. 503.
    NoKeys,
    /// The registry did not answer. 502.
    UpstreamUnreachable,
    /// The registry refused the surrogate's credentials. 502.
    UpstreamDenied,
    /// The registry refused what was sent. 502.
    UpstreamRefused,
    /// The registry is short of something, or asks to be asked later. 503.
    UpstreamBusy,
    /// The surrogate is ending. 503.
    Ending,
    /// A code of a newer version.
    #[serde(other)]
    Unknown,
}

impl Problem {
    /// Makes a problem that is not due to the registry and that the same request will meet again.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), upstream_status: None, transient: false, retry_after: None }
    }

    /// Says that the same request may succeed later.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    /// Says that it is due to an answer of the registry's with this status.
    #[must_use]
    pub const fn with_upstream_status(mut self, status: u16) -> Self {
        self.upstream_status = Some(status);
        self
    }

    /// Says how long the registry wants the same request to wait, if it does: in whole seconds, begun ones too, 18 hours at most.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        let seconds = |wait: Duration| wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        self.retry_after =
            wait.and_then(|wait| NonZeroU16::new(u16::try_from(seconds(wait)).unwrap_or(u16::MAX)));
        self
    }
}

impl Code {
    /// Returns the HTTP status that an answer with this code has.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::OutsideWindow => 409,
            Self::TooLarge => 413,
            Self::DigestMismatch => 422,
            Self::TooManyUploads => 429,
            Self::Unknown => 500,
            Self::UpstreamUnreachable | Self::UpstreamDenied | Self::UpstreamRefused => 502,
            Self::NoKeys | Self::UpstreamBusy | Self::Ending => 503,
        }
    }
}

/// The body of 202: the answer will be at `/reposure/v1/results/ID`, where 202 again means: not yet.
///
/// The header [`crate::wire::RESULT_HEADER`] names the result, too. It may be asked for by `GET`, or by `HEAD` if the request was
/// one; a large answer is given once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Later {
    /// The result's identifier: letters and digits.
    pub result: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds that do not know the field write and read the others.
    #[test]
    fn a_wait_is_said_in_whole_seconds_or_not_at_all() {
        let problem = |wait| Problem::new(Code::UpstreamBusy, "").with_retry_after(wait);
        let json = serde_json::to_string(&problem(Some(Duration::from_millis(1500)))).unwrap();
        assert_eq!(json, r#"{"code":"UPSTREAM_BUSY","message":"","transient":false,"retryAfter":2}"#);
        let json = serde_json::to_string(&problem(None)).unwrap();
        assert_eq!(json, r#"{"code":"UPSTREAM_BUSY","message":"","transient":false}"#);
        assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), problem(None));
    }
}
