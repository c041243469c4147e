use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;

use crate::{
    blob::{Blob, BlobError, within},
    manifest::Descriptor,
    name::RepositoryName,
    registry::Client,
    transport::{BoxError, Transport},
};

/// How often a range goes on where it broke off, at most.
const RESUMES: usize = 5;

/// A blob of another registry, fetched by ranges when it is read. Whoever reads all of it checks its digest.
pub(super) struct RemoteBlob<T> {
    pub(super) client: Arc<Client<T>>,
    pub(super) repository: RepositoryName,
    pub(super) descriptor: Descriptor,
}

impl<T: Transport> RemoteBlob<T> {
    async fn fetch(&self, offset: u64, length: usize) -> Result<Bytes, BoxError> {
        let end = offset + length as u64;
        let mut bytes = BytesMut::with_capacity(length);
        let mut resumes = 0;
        while bytes.len() < length {
            let start = offset + bytes.len() as u64;
            let stream =
                self.client.get_blob_range(&self.repository, &self.descriptor.digest, start..end).await?;
            let mut body = stream.body;
            while let Some(frame) = body.frame().await {
                match frame {
                    // The body fails of itself where it has more bytes than the range.
                    Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    Err(source) if resumes == RESUMES => return Err(source),
                    Err(error) => {
                        tracing::debug!(%error, at = bytes.len(), "a range broke off, and goes on");
                        resumes += 1;
                        break;
                    }
                }
            }
        }
        Ok(bytes.freeze())
    }
}

impl<T: Transport> Blob for RemoteBlob<T> {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        Box::pin(async move {
            within(offset, length, self.descriptor.size)?;
            let fetched = self.fetch(offset, length).await;
            fetched.map_err(|source| BlobError::Fetch { offset, length, source })
        })
    }
}

impl<T> fmt::Debug for RemoteBlob<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RemoteBlob").field(&self.descriptor.digest).finish()
    }
}
