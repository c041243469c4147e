//! Bytes of a blob, in memory.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;

use super::{
    blobs::{blob_stream, range_call},
    client::Client,
    error::{Error, Failure},
};
use crate::{digest::Digest, name::RepositoryName, transport::Transport};

/// How often a range that broke off has all tries of a call again, because it had got further.
const RESUMES: u32 = 5;
/// How much memory is taken before there are bytes for it, at most: what is read of a blob at once.
const RESERVED: usize = 8 << 20;

/// What was read of a blob.
#[derive(Debug)]
pub(crate) struct RangeBytes {
    pub(crate) bytes: Bytes,
    /// Whether the registry sent all of the blob instead of the range.
    pub(crate) ignored: bool,
}

impl<T: Transport> Client<T> {
    /// Reads bytes of a blob into memory, the last one of `range` excluded; goes on where it broke off. Their digest is not checked.
    ///
    /// Of a registry that ignores ranges, what stands before the range is read and thrown away.
    ///
    /// # Errors
    /// When the blob is not there, or the registry sends other bytes.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn read_blob_range(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        self.read_range(repository, digest, range).await.map(|read| read.bytes)
    }

    /// As [`Self::read_blob_range`].
    pub(crate) async fn read_range(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<RangeBytes, Error> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = BytesMut::with_capacity(length.min(RESERVED));
        let mut ignored = false;
        let (mut retry, mut resumes) = (self.retry(), RESUMES);
        loop {
            let before = bytes.len();
            let rest = range.start + before as u64..range.end;
            let Err(error) = self.read_once(repository, digest, rest, &mut bytes, &mut ignored).await else {
                return Ok(RangeBytes { bytes: bytes.freeze(), ignored });
            };
            if bytes.len() == length {
                // There was more than the range.
                bytes.truncate(before);
            } else if bytes.len() > before && resumes > 0 {
                (retry, resumes) = (self.retry(), resumes - 1);
            }
            retry.pause(error).await?;
        }
    }

    /// Adds what comes of a range to `bytes`, whether or not all of it comes.
    async fn read_once(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: Range<u64>,
        bytes: &mut BytesMut,
        ignored: &mut bool,
    ) -> Result<(), Error> {
        let call = range_call(repository, digest, &range)?;
        let answer = self.open_once(&call).await?;
        *ignored |= answer.status() == StatusCode::OK && !range.is_empty();
        // It ends after the range, or fails.
        let mut body = blob_stream(&call, answer, range)?.body;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| call.error(Failure::Broken(source)))?;
            bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        Ok(())
    }
}
