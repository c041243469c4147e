//! One range of a blob, and its request.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use reposure_oci::{Body, Descriptor, Digest, RepositoryName, transport::retry_after};

use super::PullError;
use crate::session::{self, Session, SessionError, Tickets};

/// A range to be fetched.
#[derive(Clone, Debug)]
pub(super) struct Range {
    /// The blob's number in the list that was asked for.
    pub(super) blob: usize,
    /// The offset of the first byte.
    pub(super) start: u64,
    /// The offset behind the last byte.
    pub(super) end: u64,
    digest: Digest,
    path: Arc<str>,
    size: u64,
}

/// Cuts blobs into ranges of `length`, as they are needed: a manifest may name any size. An empty blob gets an empty range, so
/// that its end is seen.
pub(super) fn ranges(
    repository: &RepositoryName,
    blobs: Vec<Descriptor>,
    length: u64,
) -> impl Iterator<Item = Range> + use<> {
    let repository = repository.clone();
    let length = length.max(1);
    blobs.into_iter().enumerate().flat_map(move |(blob, descriptor)| {
        let whole = Range::whole(&repository, blob, descriptor);
        (0..whole.size.div_ceil(length).max(1)).map(move |number| {
            let start = number * length;
            whole.part(start, whole.size.min(start.saturating_add(length)))
        })
    })
}

/// Returns where a registry has a blob.
pub(super) fn blob_path(repository: &RepositoryName, digest: &Digest) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

impl Range {
    /// All of a blob, which has the number `blob` in the list that was asked for.
    pub(super) fn whole(repository: &RepositoryName, blob: usize, descriptor: Descriptor) -> Self {
        let path = blob_path(repository, &descriptor.digest).into();
        let (digest, size) = (descriptor.digest, descriptor.size);
        Self { blob, start: 0, end: size, digest, path, size }
    }

    /// Another range of the blob.
    pub(super) fn part(&self, start: u64, end: u64) -> Self {
        Self { start, end, ..self.clone() }
    }

    /// Returns how long it is, in bytes.
    pub(super) const fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Tells whether nothing of the blob comes behind it.
    pub(super) fn is_last(&self) -> bool {
        self.end == self.size
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Asks for the range, by a ticket where there is one, and returns a body that should hold it.
    pub(super) async fn request(
        &self,
        session: &Session,
        tickets: Option<&Tickets>,
    ) -> Result<Body, PullError> {
        let request = session::request(Method::GET, &self.path, "", Bytes::new());
        let mut request = request.map_err(|source| self.failed(source))?;
        let bytes = format!("{}-{}", self.start, self.end.saturating_sub(1));
        if let Ok(value) = format!("bytes={bytes}").parse() {
            request.headers_mut().insert(header::RANGE, value);
        }
        let clear = match tickets {
            Some(tickets) => tickets.send(&self.digest, request.clone()).await,
            None => None,
        };
        let response = match clear {
            Some(response) => response,
            None => session.send(request).await.map_err(|source| self.failed(source))?,
        };
        self.check(&response, &format!("bytes {bytes}/"))?;
        Ok(response.into_body())
    }

    /// Sees to it that the answer is this range and no other.
    fn check(&self, response: &Response<Body>, expected: &str) -> Result<(), PullError> {
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
        match response.status() {
            StatusCode::PARTIAL_CONTENT if range.is_some_and(|range| range.starts_with(expected)) => Ok(()),
            StatusCode::OK if self.start == 0 && self.is_last() => Ok(()),
            status @ StatusCode::PARTIAL_CONTENT => Err(self.answer(status, "it is another range")),
            status @ StatusCode::OK => Err(self.answer(status, "it gives no ranges")),
            status => Err(self.refusal(status, "no range", retry_after(response.headers()))),
        }
    }

    /// The error of an exchange that broke off.
    pub(super) fn failed(&self, source: SessionError) -> PullError {
        PullError::Range { digest: self.digest.clone(), start: self.start, end: self.end, source }
    }

    /// The error of an answer that is none.
    pub(super) fn answer(&self, status: StatusCode, message: &'static str) -> PullError {
        self.refusal(status, message, None)
    }

    /// The error of an answer that may say how long to wait.
    fn refusal(&self, status: StatusCode, message: &'static str, retry_after: Option<Duration>) -> PullError {
        let (digest, start, end) = (self.digest.clone(), self.start, self.end);
        PullError::Answer { digest, start, end, status, message, retry_after }
    }
}
