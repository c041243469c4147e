//! Writing an image or index of any source to an archive.

use std::{collections::HashMap, pin::pin, sync::Arc};

use futures::StreamExt;
use tokio::io::AsyncWrite;

use super::{
    name::ArchiveName,
    plan::{Plan, PlanError, SavedImage},
    writer::{ArchiveWriter, WriteError},
};
use crate::{
    blob::{Blob, BlobError, damaged, pieces},
    digest::Digest,
    image::{Artifact, Image, SourceError},
    manifest::RawManifest,
};

/// Why an artifact cannot be written to an archive.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source does not give a part.
    #[error("the image cannot be had")]
    Source(#[source] SourceError),
    /// The archive cannot be laid out.
    #[error("the archive cannot be laid out")]
    Plan(#[source] PlanError),
    /// A blob cannot be read.
    #[error("blob {digest} cannot be read")]
    Read {
        /// The blob.
        digest: Digest,
        /// What happened.
        #[source]
        source: BlobError,
    },
    /// A blob holds other bytes than its digest says.
    #[error("blob {digest} is not what it should be")]
    Damaged {
        /// The blob.
        digest: Digest,
        /// What is wrong, and where.
        #[source]
        source: BlobError,
    },
    /// The source has no such blob, although a manifest names it.
    #[error("blob {0} is missing in the source")]
    Missing(Digest),
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Write(#[source] WriteError),
}

#[derive(Default)]
struct Parts {
    manifests: Vec<RawManifest>,
    blobs: HashMap<Digest, Arc<dyn Blob>>,
}

/// Writes an image or index with all that belongs to it, and returns the output.
///
/// # Errors
/// When a part cannot be had, is damaged, or the output cannot be written to; the output is incomplete then.
///
/// # Cancel safety
/// None: when this is dropped, the output is incomplete.
pub async fn write_artifact<W: AsyncWrite + Unpin>(
    artifact: &Artifact,
    names: Vec<ArchiveName>,
    out: W,
) -> Result<W, CopyError> {
    let mut parts = Parts::default();
    let manifest = parts.collect(artifact).await?;
    let plan = Plan::new(&[SavedImage { manifest, names }], &parts.manifests).map_err(CopyError::Plan)?;
    let digests: Vec<_> = plan.blobs().iter().map(|blob| blob.descriptor.digest.clone()).collect();
    let mut writer = ArchiveWriter::new(out, plan).await.map_err(CopyError::Write)?;
    for digest in digests {
        let blob = parts.blobs.get(&digest).ok_or_else(|| CopyError::Missing(digest.clone()))?;
        copy(blob.as_ref(), &mut writer).await?;
    }
    writer.finish().await.map_err(CopyError::Write)
}

impl Parts {
    /// Collects what belongs to the artifact and returns its manifest.
    async fn collect(&mut self, artifact: &Artifact) -> Result<RawManifest, CopyError> {
        let mut waiting = vec![artifact];
        let mut root = None;
        while let Some(artifact) = waiting.pop() {
            let manifest = match artifact {
                Artifact::Image(image) => self.image(image.as_ref()).await?,
                Artifact::Index(index) => {
                    waiting.extend(index.children());
                    index.manifest().clone()
                }
            };
            self.manifests.push(manifest.clone());
            root.get_or_insert(manifest);
        }
        Ok(root.expect("the first round has set it"))
    }

    async fn image(&mut self, image: &dyn Image) -> Result<RawManifest, CopyError> {
        for part in image.parts() {
            let blob = part.prepare().await.map_err(CopyError::Source)?;
            self.blobs.insert(blob.descriptor().digest.clone(), blob);
        }
        image.manifest().await.map_err(CopyError::Source)
    }
}

async fn copy<W: AsyncWrite + Unpin>(
    blob: &dyn Blob,
    writer: &mut ArchiveWriter<W>,
) -> Result<(), CopyError> {
    let digest = &blob.descriptor().digest;
    writer.begin_blob(digest).await.map_err(CopyError::Write)?;
    let mut pieces = pin!(pieces(blob));
    while let Some(piece) = pieces.next().await {
        let bytes = piece.map_err(|source| CopyError::Read { digest: digest.clone(), source })?;
        writer.write(&bytes).await.map_err(|error| failed(blob, error))?;
    }
    writer.end_blob().await.map_err(|error| failed(blob, error))
}

fn failed(blob: &dyn Blob, error: WriteError) -> CopyError {
    match error {
        WriteError::Blob(error) => {
            CopyError::Damaged { digest: blob.descriptor().digest.clone(), source: damaged(blob, error) }
        }
        error => CopyError::Write(error),
    }
}
