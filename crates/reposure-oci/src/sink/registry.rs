//! Another registry, which blobs are streamed into.

use crate::{
    digest::Digest,
    manifest::{Descriptor, RawManifest},
    name::{Reference, RepositoryName},
    registry::{Client, Error, Mount, Session},
    transport::{Body, Transport},
};

/// A repository that images go into.
#[derive(Clone, Debug)]
pub struct RegistrySink<T> {
    client: Client<T>,
    repository: RepositoryName,
    from: Option<RepositoryName>,
}

/// How a blob came into the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was there.
    Existed,
    /// Another repository of the same registry had it.
    Mounted,
    /// It was sent.
    Sent,
}

impl<T: Transport> RegistrySink<T> {
    /// Takes a client of the registry, and the repository.
    pub const fn new(client: Client<T>, repository: RepositoryName) -> Self {
        Self { client, repository, from: None }
    }

    /// Tries first to mount blobs from another repository of the registry, which need neither have them nor exist.
    #[must_use]
    pub fn mounting_from(self, repository: &RepositoryName) -> Self {
        let from = Some(repository).filter(|from| **from != self.repository).cloned();
        Self { from, ..self }
    }

    /// Brings a blob into the repository, unless it is there; `open` gives all its bytes, from the start each time.
    ///
    /// # Errors
    /// When the registry refuses the blob or stores something else, or the bytes cannot be had. What may succeed later is tried a
    /// few times.
    ///
    /// # Cancel safety
    /// The blob is there whole or not at all.
    pub async fn put_blob(
        &self,
        blob: &Descriptor,
        mut open: impl FnMut() -> Body + Send,
    ) -> Result<Stored, Error> {
        if self.client.head_blob(&self.repository, &blob.digest).await? == Some(blob.size) {
            return Ok(Stored::Existed);
        }
        let mut mounted = self.mount(&blob.digest).await;
        let mut retry = self.client.retry();
        loop {
            let session = match mounted.take() {
                Some(Mount::Mounted) => return Ok(Stored::Mounted),
                Some(Mount::Open(session)) => Ok(session),
                None => self.client.start_upload(&self.repository).await,
            };
            match self.send(session?, blob, open()).await {
                Err(error) => retry.pause(error).await?,
                Ok(_) => return Ok(Stored::Sent),
            }
        }
    }

    /// Tries to mount a blob. That is a kindness of the registry's: some refuse it for a repository that they do not know.
    async fn mount(&self, digest: &Digest) -> Option<Mount> {
        let from = self.from.as_ref()?;
        self.client.mount(&self.repository, digest, from).await.ok()
    }

    async fn send(&self, session: Session, blob: &Descriptor, body: Body) -> Result<Digest, Error> {
        self.client.finish_monolithic(session, &blob.digest, blob.size, body).await
    }

    /// Stores a manifest whose blobs, and manifests below it, are there.
    ///
    /// # Errors
    /// When the registry refuses it, or stores something else.
    ///
    /// # Cancel safety
    /// The manifest may have been stored.
    pub async fn put_manifest(&self, reference: &Reference, manifest: &RawManifest) -> Result<Digest, Error> {
        self.client.put_manifest(&self.repository, reference, manifest).await
    }
}
