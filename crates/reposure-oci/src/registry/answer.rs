//! What a registry answers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use serde::Deserialize;

use super::{
    code::ErrorCode,
    error::{Failure, OciError, Refusal},
    limits::ERROR_BODY,
};
use crate::{
    digest::Digest,
    transport::{self, Body, CollectError, is_html, retry_after},
};

/// The digest of what was sent or stored.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The most errors that are read of one answer.
const ERRORS: usize = 8;
/// The longest text of a registry's that is shown, in characters.
const TEXT: usize = 300;

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// Reads the body of an error.
pub(crate) async fn refusal(answer: Response<Body>) -> Failure {
    let (parts, body) = answer.into_parts();
    // What is too long or breaks off is still an error of this status.
    let body = transport::collect(body, ERROR_BODY).await.unwrap_or_default();
    let errors = errors(&body);
    let html = is_html(&parts.headers, &body);
    let text = match (html, errors.is_empty()) {
        (true, _) => title(&body),
        (false, true) => text(&body),
        (false, false) => None,
    };
    Failure::Refused(Refusal {
        status: parts.status,
        errors,
        text,
        html,
        is_full: is_full(parts.status, &body),
        retry_after: retry_after(&parts.headers),
    })
}

/// Tells whether the registry has no room left. Distribution says so in an error's details alone, with status 500: as the system's
/// words, or as its number for them on Linux.
fn is_full(status: StatusCode, body: &[u8]) -> bool {
    const WORDS: [&str; 4] =
        ["no space left on device", "disk quota exceeded", "\"Err\":28}", "\"Err\":122}"];
    let says = |words: &str| body.windows(words.len()).any(|window| window == words.as_bytes());
    status == StatusCode::INSUFFICIENT_STORAGE || status.is_server_error() && WORDS.into_iter().any(says)
}

fn errors(body: &[u8]) -> Vec<OciError> {
    let parsed: Option<Errors> = serde_json::from_slice(body).ok();
    let items = parsed.map(|parsed| parsed.errors).unwrap_or_default().into_iter().take(ERRORS);
    items
        .map(|item| OciError {
            code: ErrorCode::new(&plain(item.code.as_deref().unwrap_or("UNKNOWN"))),
            message: plain(item.message.as_deref().unwrap_or_default()),
        })
        .collect()
}

/// Takes a web page for what it is: nothing of a registry's.
pub(crate) fn refuse_html(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Failure> {
    if is_html(headers, body) { Err(Failure::Html { status, title: title(body) }) } else { Ok(()) }
}

fn title(body: &[u8]) -> Option<String> {
    let body = String::from_utf8_lossy(body);
    // Lengths stay the same, so that what is found in the one is at the same place in the other.
    let lower = body.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower[start..].find("</title>")?;
    Some(plain(body[start..end].trim()))
}

fn text(body: &[u8]) -> Option<String> {
    let text = plain(String::from_utf8_lossy(body).trim());
    (!text.is_empty()).then_some(text)
}

/// Cuts text short, and takes out what would make a terminal do things.
pub(crate) fn plain(text: &str) -> String {
    text.chars().take(TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns the text of a header.
pub(crate) fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Returns `Content-Length`.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    text_of(headers, &header::CONTENT_LENGTH)?.trim().parse().ok()
}

/// Returns `Docker-Content-Digest`, if it is one of an algorithm that is known.
pub(crate) fn digest(headers: &HeaderMap) -> Option<Digest> {
    text_of(headers, &CONTENT_DIGEST)?.trim().parse().ok()
}

/// Checks `Docker-Content-Digest`, and tells whether there is one that says something of the expected one: Distribution names the SHA-256
/// of whatever it has stored under a digest of another algorithm.
pub(crate) fn check_digest(headers: &HeaderMap, expected: &Digest) -> Result<bool, Failure> {
    match digest(headers).filter(|actual| actual.algorithm() == expected.algorithm()) {
        Some(actual) if actual == *expected => Ok(true),
        Some(actual) => Err(Failure::Digest { expected: expected.clone(), actual }),
        None => Ok(false),
    }
}

/// Turns a failure to read a body into one of the operation.
pub(crate) fn body_failure(error: CollectError) -> Failure {
    match error {
        CollectError::TooLarge(limit) => Failure::TooLarge(limit),
        CollectError::Broken(source) => Failure::Broken(source),
    }
}

/// An answer with its whole body.
pub(crate) type Whole = Response<Bytes>;

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Refusal {
        let mut answer = Response::new(transport::full(body));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            answer.headers_mut().insert(*name, value.parse().unwrap());
        }
        match refusal(answer).await {
            Failure::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn codes_are_kept_even_if_unknown() {
        let body =
            r#"{"errors":[{"code":"DENIED","message":"no\u001b[31m"},{"code":"QUOTA","detail":{"a":1}},{}]}"#;
        let refusal = refused(403, &[], body).await;
        assert_eq!(refusal.errors[1].code, ErrorCode::Other("QUOTA".into()));
        assert_eq!(refusal.to_string(), "403 Forbidden: DENIED (no [31m), QUOTA, UNKNOWN");
    }

    #[tokio::test]
    async fn pages_and_plain_text_are_named() {
        let page = refused(502, &[], "\n<!DOCTYPE html><TITLE>Bad\nGateway</TITLE>").await;
        assert_eq!(page.to_string(), "502 Bad Gateway, a web page with title \"Bad Gateway\"");
        assert_eq!(
            refused(404, &[], "404 page not found\n").await.to_string(),
            "404 Not Found: 404 page not found"
        );
        assert_eq!(refused(500, &[], "").await.to_string(), "500 Internal Server Error");
    }

    #[tokio::test]
    async fn a_full_disk_is_known_by_what_distribution_says() {
        for (status, body) in [
            (507, ""),
            (
                500,
                r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"write /var/lib/registry/data: no space left on device"}]}"#,
            ),
            // Version 2.8, where an upload is opened.
            (
                500,
                r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Path":"/x","Err":28}}}]}"#,
            ),
        ] {
            let refusal = refused(status, &[], body).await;
            assert!(refusal.is_full && refusal.to_string().ends_with(", its disk is full"), "{refusal}");
        }
        let denied = refused(500, &[], r#"{"errors":[{"code":"UNKNOWN","detail":{"Err":13}}]}"#).await;
        assert!(!denied.is_full);
        // A page may show words of anybody's.
        assert!(!refused(404, &[], "no space left on device").await.is_full);
    }
}
