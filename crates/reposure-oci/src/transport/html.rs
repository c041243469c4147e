//! Pages for people.

use http::{HeaderMap, header};

/// Tells whether an answer is a web page, by what it says of itself or by how it begins.
pub(crate) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html")) || body.trim_ascii_start().starts_with(b"<")
}
