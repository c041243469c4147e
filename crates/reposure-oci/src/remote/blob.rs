//! Blobs of a registry.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{
    blob::{Blob, BlobError, within},
    manifest::Descriptor,
    name::RepositoryName,
    registry::Client,
    transport::Transport,
};

/// How much is asked for at once, in bytes: each ranged request costs Distribution a buffer of 4 MiB and some milliseconds.
const PIECE: u64 = 8 << 20;

/// A blob of a registry, read when it is needed.
pub(super) struct RemoteBlob<T> {
    client: Client<T>,
    repository: RepositoryName,
    descriptor: Descriptor,
}

impl<T> RemoteBlob<T> {
    pub(super) const fn new(client: Client<T>, repository: RepositoryName, descriptor: Descriptor) -> Self {
        Self { client, repository, descriptor }
    }
}

impl<T> fmt::Debug for RemoteBlob<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("RemoteBlob");
        let shown = shown.field("repository", &self.repository).field("descriptor", &self.descriptor);
        shown.finish_non_exhaustive()
    }
}

impl<T: Transport> Blob for RemoteBlob<T> {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        Box::pin(async move {
            within(offset, length, self.descriptor.size)?;
            let range = offset..offset + length as u64;
            let read = self.client.read_blob_range(&self.repository, &self.descriptor.digest, range).await;
            read.map_err(|source| BlobError::Fetch { offset, length, source: source.into() })
        })
    }

    fn origin(&self) -> Option<String> {
        let path = format!("/v2/{}/blobs/{}", self.repository, self.descriptor.digest);
        Some(self.client.transport().url(&path))
    }

    fn piece(&self) -> u64 {
        PIECE
    }
}
