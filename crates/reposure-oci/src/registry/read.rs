//! Bytes of a blob, in memory.

use std::ops::Range;

use bytes::Bytes;

use super::{
    answer::body_failure,
    blobs::{blob_stream, range_call},
    client::Client,
    error::Error,
};
use crate::{
    digest::Digest,
    name::RepositoryName,
    transport::{Transport, collect},
};

impl<T: Transport> Client<T> {
    /// Reads bytes of a blob into memory, the last one of `range` excluded; asks again for what breaks off. Their digest is not
    /// checked.
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
        let mut retry = self.retry();
        loop {
            match self.read_once(repository, digest, range.clone()).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    async fn read_once(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        let call = range_call(repository, digest, &range)?;
        let answer = self.open_once(&call).await?;
        let length = range.end.saturating_sub(range.start);
        let stream = blob_stream(&call, answer, range)?;
        // The body ends there by itself, so that this limit is never reached.
        let limit = usize::try_from(length).unwrap_or(usize::MAX);
        collect(stream.body, limit).await.map_err(|error| call.error(body_failure(error)))
    }
}
