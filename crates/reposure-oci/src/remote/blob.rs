//! Blobs of a registry.

use std::{fmt, ops::Range};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

use super::in_order::InOrder;
use crate::{
    blob::{Blob, BlobError, within},
    manifest::Descriptor,
    name::RepositoryName,
    registry::Client,
    transport::{BoxError, Transport},
};

/// How much is asked for at once, in bytes: each ranged request costs Distribution a buffer of 4 MiB and some milliseconds.
const PIECE: u64 = 8 << 20;

/// A blob of a registry, read when it is needed.
pub(super) struct RemoteBlob<T> {
    client: Client<T>,
    repository: RepositoryName,
    descriptor: Descriptor,
    in_order: InOrder,
}

impl<T> RemoteBlob<T> {
    pub(super) fn new(client: Client<T>, repository: RepositoryName, descriptor: Descriptor) -> Self {
        Self { client, repository, descriptor, in_order: InOrder::default() }
    }
}

impl<T: Transport + Clone + 'static> RemoteBlob<T> {
    async fn range(&self, range: Range<u64>) -> Result<Bytes, BoxError> {
        let (client, repository) = (self.client.clone(), self.repository.clone());
        let digest = self.descriptor.digest.clone();
        // By a task of its own, so that it goes on while the piece before it is being sent.
        let read = tokio::spawn(async move { client.read_range(&repository, &digest, range).await });
        let read = AbortOnDropHandle::new(read).await??;
        if read.ignored {
            self.in_order.need();
        }
        Ok(read.bytes)
    }
}

impl<T> fmt::Debug for RemoteBlob<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("RemoteBlob");
        let shown = shown.field("repository", &self.repository).field("descriptor", &self.descriptor);
        shown.finish_non_exhaustive()
    }
}

impl<T: Transport + Clone + 'static> Blob for RemoteBlob<T> {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        Box::pin(async move {
            within(offset, length, self.descriptor.size)?;
            let read = if self.in_order.is_needed() {
                self.in_order.read(&self.client, &self.repository, &self.descriptor, offset, length).await
            } else {
                self.range(offset..offset + length as u64).await
            };
            read.map_err(|source| BlobError::Fetch { offset, length, source })
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
