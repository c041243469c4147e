//! `/v2/NAME/blobs/DIGEST`.

use std::{fmt, ops::Range};

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};

use super::{
    answer::{self, text_of},
    call::Call,
    client::Client,
    error::{Error, Failure},
    limits::ERROR_BODY,
    operation::{Action, Operation},
    range::content_range,
};
use crate::{
    digest::{Digest, Digester},
    manifest::Descriptor,
    name::RepositoryName,
    transport::{self, Body, Transport},
};

/// A part of a blob on its way.
pub struct BlobStream {
    /// Which bytes come.
    pub range: Range<u64>,
    /// How many bytes the blob has, if the registry says so.
    pub total: Option<u64>,
    /// The bytes. It fails unless it has just as many as `range`, and when it is silent for too long; their digest is not
    /// checked.
    pub body: Body,
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("BlobStream");
        shown.field("range", &self.range).field("total", &self.total).finish_non_exhaustive()
    }
}

impl<T: Transport> Client<T> {
    /// Returns a blob's size in bytes, or none if the repository does not have it.
    ///
    /// # Errors
    /// When the registry cannot be asked, or does not tell the size.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn head_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        self.head(&call(Action::HeadBlob, Method::HEAD, repository, digest)).await
    }

    /// Tells whether the repository has a blob.
    ///
    /// # Errors
    /// When the registry does not say, or has a blob of another size under that digest.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn has_blob(&self, repository: &RepositoryName, blob: &Descriptor) -> Result<bool, Error> {
        let call = call(Action::HeadBlob, Method::HEAD, repository, &blob.digest);
        match self.head(&call).await? {
            Some(size) if size == blob.size => Ok(true),
            Some(size) => Err(call.error(Failure::Size { expected: blob.size, actual: Some(size) })),
            None => Ok(false),
        }
    }

    async fn head(&self, call: &Call) -> Result<Option<u64>, Error> {
        match self.call(call, ERROR_BODY).await {
            Ok(answer) => match answer::length(answer.headers()) {
                Some(size) => Ok(Some(size)),
                None => Err(call.error(Failure::Header { name: "content-length", value: None })),
            },
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a small blob, such as a configuration, of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is not there, is larger, or has another digest.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn get_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Bytes, Error> {
        let call = call(Action::GetBlob, Method::GET, repository, digest);
        let bytes = self.call(&call, limit).await?.into_body();
        let mut digester = Digester::new(digest.algorithm());
        digester.update(&bytes);
        let actual = digester.finish();
        if actual == *digest {
            Ok(bytes)
        } else {
            Err(call.error(Failure::Digest { expected: digest.clone(), actual }))
        }
    }

    /// Begins to read bytes of a blob, the last one of `range` excluded.
    ///
    /// Of a registry that ignores ranges, and sends all of the blob, what stands before the range is read and thrown away.
    ///
    /// # Errors
    /// When the blob is not there, or the registry sends other bytes.
    ///
    /// # Cancel safety
    /// Dropping the stream ends it.
    pub async fn get_blob_range(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<BlobStream, Error> {
        let call = range_call(repository, digest, &range)?;
        let answer = self.open(&call).await?;
        blob_stream(&call, answer, range)
    }
}

/// Asks for bytes of a blob.
pub(crate) fn range_call(
    repository: &RepositoryName,
    digest: &Digest,
    range: &Range<u64>,
) -> Result<Call, Error> {
    let call = call(Action::GetBlob, Method::GET, repository, digest)
        .expect(&[StatusCode::PARTIAL_CONTENT, StatusCode::OK]);
    match range.end.checked_sub(1) {
        // No range is empty in HTTP.
        Some(last) if !range.is_empty() => {
            call.header(header::RANGE, &format!("bytes={}-{last}", range.start))
        }
        _ => Ok(call),
    }
}

/// Takes the answer to [`range_call`], unless it has other bytes.
pub(crate) fn blob_stream(
    call: &Call,
    answer: Response<Body>,
    range: Range<u64>,
) -> Result<BlobStream, Error> {
    let total = check(&answer, &range).map_err(|failure| call.error(failure))?;
    let whole = 0..total.unwrap_or(range.end);
    let body = if answer.status() == StatusCode::OK && range != whole {
        transport::stretch(answer.into_body(), range.clone())
    } else {
        transport::exact(answer.into_body(), range.end.saturating_sub(range.start))
    };
    Ok(BlobStream { range, total, body })
}

/// Checks that an answer has the bytes that were asked for, and returns the size of the blob.
fn check(answer: &Response<Body>, expected: &Range<u64>) -> Result<Option<u64>, Failure> {
    if answer.status() == StatusCode::OK {
        // All of the blob comes, which is as good, unless it is too short or of no known length.
        let length = answer::length(answer.headers());
        let holds = length.map_or(expected.start == 0, |length| expected.end <= length);
        let actual = || length.map_or_else(|| "0-".into(), |length| format!("0-{length}"));
        let failure = || Failure::Range { expected: expected.clone(), actual: actual() };
        return if holds { Ok(length) } else { Err(failure()) };
    }
    let value = text_of(answer.headers(), &header::CONTENT_RANGE);
    match value.and_then(content_range) {
        Some((range, total)) if range == *expected => Ok(total),
        Some((range, _)) => {
            let actual = format!("{}-{}", range.start, range.end);
            Err(Failure::Range { expected: expected.clone(), actual })
        }
        None => Err(Failure::Header { name: "content-range", value: value.map(Into::into) }),
    }
}

fn call(action: Action, method: Method, repository: &RepositoryName, digest: &Digest) -> Call {
    let operation = Operation::on(action, repository, digest);
    Call::new(operation, method, format!("/v2/{repository}/blobs/{digest}"))
}
