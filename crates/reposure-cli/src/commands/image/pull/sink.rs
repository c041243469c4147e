//! Where pulled pieces go: an archive, or one file. Both verify each blob before they take it for whole.

use std::{fs::File, io, io::Write as _};

use reposure_client::pull::{Piece, PieceSink};
use reposure_oci::{
    Descriptor, Digest, Digester,
    sink::{ArchiveWriter, WriteError},
};
use tokio::io::AsyncWrite;

/// Writes pieces into an archive.
pub(super) struct ArchiveSink<W> {
    writer: ArchiveWriter<W>,
    blobs: Vec<Descriptor>,
    begun: Option<usize>,
}

impl<W: AsyncWrite + Unpin + Send> ArchiveSink<W> {
    pub(super) const fn new(writer: ArchiveWriter<W>, blobs: Vec<Descriptor>) -> Self {
        Self { writer, blobs, begun: None }
    }

    pub(super) async fn finish(self) -> Result<W, WriteError> {
        self.writer.finish().await
    }
}

impl<W: AsyncWrite + Unpin + Send> PieceSink for ArchiveSink<W> {
    type Error = WriteError;

    async fn take(&mut self, piece: Piece) -> Result<(), WriteError> {
        if self.begun != Some(piece.blob) {
            self.writer.begin_blob(&self.blobs[piece.blob].digest).await?;
            self.begun = Some(piece.blob);
        }
        self.writer.write(&piece.bytes).await?;
        if piece.last { self.writer.end_blob().await } else { Ok(()) }
    }
}

/// Why a blob was not written to a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileSinkError {
    /// It cannot be written.
    #[error("cannot write a temporary file")]
    Write(#[source] io::Error),
    /// Its bytes are not what its digest says.
    #[error("the registry gave {found} for blob {expected}")]
    Digest {
        /// The digest that the manifest names.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
}

/// Writes one blob to a file.
pub(super) struct FileSink {
    file: File,
    expected: Digest,
    digester: Option<Digester>,
}

impl FileSink {
    pub(super) fn new(file: File, blob: &Descriptor) -> Self {
        let digester = Some(Digester::new(blob.digest.algorithm()));
        Self { file, expected: blob.digest.clone(), digester }
    }

    fn verify(&mut self) -> Result<(), FileSinkError> {
        match self.digester.take().map(Digester::finish) {
            Some(found) if found != self.expected => {
                Err(FileSinkError::Digest { expected: self.expected.clone(), found })
            }
            _ => Ok(()),
        }
    }
}

impl PieceSink for FileSink {
    type Error = FileSinkError;

    async fn take(&mut self, piece: Piece) -> Result<(), FileSinkError> {
        // Some MiB to a file: shorter than a trip to another thread is worth.
        self.file.write_all(&piece.bytes).map_err(FileSinkError::Write)?;
        if let Some(digester) = &mut self.digester {
            digester.update(&piece.bytes);
        }
        if piece.last { self.verify() } else { Ok(()) }
    }
}
