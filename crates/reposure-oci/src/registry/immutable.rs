//! Tags that may not be changed.
//!
//! The specification has no code for them, and registries have these forms:
//!
//! | registry | moving the tag | deleting it |
//! |---|---|---|
//! | ECR | 400 `TAG_INVALID`, "the tag is immutable" | 405, as all of it |
//! | ACR, locked | 405 `UNSUPPORTED`, "disallowed on this registry, repository or image" | the same |
//! | Harbor | 412 `PRECONDITION`, "configured as immutable" | the same |
//! | Quay, and others | 409 | 409 |
//! | proxies with rules of their own | 403 | 403 |

use http::StatusCode;

use super::error::{Error, Failure};

/// What registries call such a tag, in lower case.
const WORDS: [&str; 4] =
    ["immutable", "cannot be overwritten", "locked", "disallowed on this registry, repository or image"];

/// Tells whether the answer to a call by tag says that the tag may not be changed.
pub(crate) fn is_said(error: &Error) -> bool {
    let Failure::Refused(refusal) = &*error.failure else { return false };
    matches!(refusal.status, StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED)
        || refusal.errors.iter().any(|error| {
            let message = error.message.to_ascii_lowercase();
            WORDS.iter().any(|word| message.contains(word))
        })
}

/// Makes the refusal of a tag one that says why.
pub(crate) fn tag(error: Error) -> Error {
    let failure = match *error.failure {
        Failure::Refused(refusal) => Failure::ImmutableTag(refusal),
        other => other,
    };
    Error { failure: failure.into(), ..error }
}

/// As [`tag`], for a tag that could not be moved to a manifest, where storing manifests as such is allowed.
pub(crate) fn refused_tag(error: Error) -> Error {
    let refused = matches!(
        error.status(),
        Some(StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED)
    );
    if refused || is_said(&error) { tag(error) } else { error }
}
