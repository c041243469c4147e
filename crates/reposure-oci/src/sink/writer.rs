//! Writing an archive from front to back, with every blob checked.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::plan::Plan;
use crate::{
    blob::{BlobError, Verifier},
    digest::Digest,
    tarball,
};

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output cannot be written to.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// A blob holds other bytes than its digest says.
    #[error("the archive cannot be completed")]
    Blob(#[source] BlobError),
    /// The blob is not the one whose turn it is.
    #[error("blob {given} is given, where the archive goes on with {}", .expected.as_ref().map_or("none".into(), ToString::to_string))]
    Order {
        /// The blob that was given.
        given: Digest,
        /// The one that is next.
        expected: Option<Digest>,
    },
    /// Bytes are given, or a blob is ended, while none is begun; or one is begun while another is not ended.
    #[error("the archive is not at the start or inside of a blob as it should be")]
    State,
    /// The archive is ended before its last blob.
    #[error("blob {0} is missing in the archive")]
    Missing(Digest),
}

/// Writes an archive: [`begin_blob`](Self::begin_blob), [`write`](Self::write) and [`end_blob`](Self::end_blob) for every blob of
/// the [`Plan`] in order, then [`finish`](Self::finish).
///
/// After an error the output is incomplete, and of no use.
///
/// # Cancel safety
/// None: when a call is dropped, the output may have got any part of what was to be written.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    out: W,
    plan: Plan,
    next: usize,
    current: Option<Verifier>,
}

impl<W: AsyncWrite + Unpin> ArchiveWriter<W> {
    /// Writes the archive's start.
    ///
    /// # Errors
    /// When the output cannot be written to.
    pub async fn new(mut out: W, plan: Plan) -> Result<Self, WriteError> {
        out.write_all(plan.prelude()).await.map_err(WriteError::Write)?;
        Ok(Self { out, plan, next: 0, current: None })
    }

    /// Returns the archive's layout.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Begins the next blob, which must be the one of this digest.
    ///
    /// # Errors
    /// When it is another one's turn, or the output cannot be written to.
    pub async fn begin_blob(&mut self, digest: &Digest) -> Result<(), WriteError> {
        if self.current.is_some() {
            return Err(WriteError::State);
        }
        let blob = self.plan.blobs().get(self.next);
        let blob =
            blob.filter(|blob| blob.descriptor.digest == *digest).ok_or_else(|| WriteError::Order {
                given: digest.clone(),
                expected: blob.map(|blob| blob.descriptor.digest.clone()),
            })?;
        self.out.write_all(&blob.header).await.map_err(WriteError::Write)?;
        self.current = Some(Verifier::new(&blob.descriptor));
        Ok(())
    }

    /// Writes bytes of the blob that is begun.
    ///
    /// # Errors
    /// When the blob gets more bytes than its size, or the output cannot be written to.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let verifier = self.current.as_mut().ok_or(WriteError::State)?;
        verifier.update(bytes).map_err(WriteError::Blob)?;
        self.out.write_all(bytes).await.map_err(WriteError::Write)
    }

    /// Ends the blob that is begun.
    ///
    /// # Errors
    /// When its bytes are too few, or others than its digest says, or the output cannot be written to.
    pub async fn end_blob(&mut self) -> Result<(), WriteError> {
        self.current.take().ok_or(WriteError::State)?.finish().map_err(WriteError::Blob)?;
        let size = self.plan.blobs()[self.next].descriptor.size;
        self.next += 1;
        let padding = &tarball::END[..tarball::padding(size)];
        self.out.write_all(padding).await.map_err(WriteError::Write)
    }

    /// Writes the archive's end and returns the output, flushed.
    ///
    /// # Errors
    /// When a blob is missing, or the output cannot be written to.
    pub async fn finish(mut self) -> Result<W, WriteError> {
        if let Some(blob) = self.plan.blobs().get(self.next) {
            return Err(WriteError::Missing(blob.descriptor.digest.clone()));
        }
        self.out.write_all(&tarball::END).await.map_err(WriteError::Write)?;
        self.out.flush().await.map_err(WriteError::Write)?;
        Ok(self.out)
    }
}
