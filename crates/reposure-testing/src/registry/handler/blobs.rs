//! `/v2/NAME/blobs/DIGEST`.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header, request::Parts};

use super::not_allowed;
use crate::registry::{
    answer::{self, Answer},
    shared::Shared,
};

pub(crate) fn handle(shared: &Shared, parts: &Parts, repository: &str, digest: &str) -> Answer {
    match parts.method {
        Method::GET | Method::HEAD => get(shared, parts, repository, digest),
        Method::DELETE if shared.quirks().delete_enabled => {
            let deleted = shared.store().delete_blob(repository, digest);
            if deleted { answer::status(StatusCode::ACCEPTED) } else { unknown() }
        }
        _ => not_allowed(),
    }
}

fn get(shared: &Shared, parts: &Parts, repository: &str, digest: &str) -> Answer {
    let Some(blob) = shared.store().blob(repository, digest) else { return unknown() };
    let quirks = shared.quirks();
    if let (Some(host), &Method::GET) = (&quirks.redirect_blobs, &parts.method) {
        let mut redirect = answer::status(StatusCode::TEMPORARY_REDIRECT);
        answer::set(&mut redirect, header::LOCATION.as_str(), &format!("{host}{}", parts.uri.path()));
        return redirect;
    }
    let mut found = match range(&parts.headers).filter(|_| !quirks.ignore_range) {
        Some(range) => partial(&blob, range),
        None => answer::bytes(StatusCode::OK, blob),
    };
    let content_type = if quirks.html_blobs { "text/html" } else { "application/octet-stream" };
    answer::set(&mut found, header::CONTENT_TYPE.as_str(), content_type);
    answer::set(&mut found, header::ACCEPT_RANGES.as_str(), "bytes");
    answer::set_digest(&mut found, shared, digest);
    found
}

fn partial(blob: &Bytes, (first, last): (usize, usize)) -> Answer {
    let size = blob.len();
    if first >= size || last < first {
        let mut refusal = answer::error(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", "no such range");
        answer::set(&mut refusal, header::CONTENT_RANGE.as_str(), &format!("bytes */{size}"));
        return refusal;
    }
    let last = last.min(size - 1);
    let mut part = answer::bytes(StatusCode::PARTIAL_CONTENT, blob.slice(first..=last));
    answer::set(&mut part, header::CONTENT_RANGE.as_str(), &format!("bytes {first}-{last}/{size}"));
    part
}

fn range(headers: &HeaderMap) -> Option<(usize, usize)> {
    let (first, last) = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { usize::MAX } else { last.parse().ok()? };
    Some((first.parse().ok()?, last))
}

fn unknown() -> Answer {
    answer::error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry")
}
