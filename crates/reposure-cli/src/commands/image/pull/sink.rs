//! Where pulled pieces go in order: an archive that is a pipe. It verifies each blob.

use reposure_client::pull::{Piece, PieceSink};
use reposure_oci::{
    Descriptor,
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
