//! Copies an image or index out of the registry behind a surrogate into another registry.
//!
//! Blobs are streamed, and verified on their way; manifests go last, children before their index.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use reposure_oci::{
    Body, Descriptor, Digest, ImageName, RawManifest, Reference, Transport, registry,
    sink::{RegistrySink, SavedTree, Stored},
};
use reposure_parcel::upload::How;

use crate::{
    progress::{Event, Progress},
    pull::{self, PullError, PullOptions, began, stream_blob},
    session::Session,
};

/// The blobs on their way at once. Each takes memory for its ranges in flight.
const BLOBS: usize = 2;

/// Why an image was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source does not give a blob.
    #[error("the image cannot be had")]
    Source(#[source] PullError),
    /// The other registry does not take a blob.
    #[error("blob {digest} cannot be stored")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What happened.
        #[source]
        source: registry::Error,
    },
    /// The other registry does not take a manifest.
    #[error("manifest {digest} cannot be stored")]
    Manifest {
        /// The manifest.
        digest: Digest,
        /// What happened.
        #[source]
        source: registry::Error,
    },
}

/// Where an image is copied from.
#[derive(Clone, Debug)]
pub struct CopySource {
    /// The registry.
    pub session: Arc<Session>,
    /// The image.
    pub name: ImageName,
    /// How it is fetched.
    pub options: PullOptions,
}

/// Copies what `image` holds into a repository of another registry, under `reference`, and returns the digest of its manifest.
///
/// # Errors
/// When a blob cannot be had or is not what its descriptor says, or the other registry refuses. There is then no new tag.
///
/// # Cancel safety
/// Dropping the future stops the copy; there is then no new tag, unless the registry was answering already.
pub async fn copy<T: Transport>(
    from: &CopySource,
    image: &SavedTree,
    sink: &RegistrySink<T>,
    reference: &Reference,
    progress: &Progress,
) -> Result<Digest, CopyError> {
    began(image.blobs(), progress);
    // Halves, so that all blobs together have as many ranges in flight as were asked for.
    let options = PullOptions { jobs: from.options.jobs.div_ceil(BLOBS), ..from.options };
    let from = &CopySource { options, ..from.clone() };
    stream::iter(image.blobs().iter().enumerate().map(Ok))
        .try_for_each_concurrent(BLOBS, |(part, blob)| copy_blob(from, part, blob, sink, progress))
        .await?;
    for child in image.children() {
        put_manifest(sink, &Reference::Digest(child.digest().clone()), child).await?;
    }
    put_manifest(sink, reference, image.root()).await
}

async fn put_manifest<T: Transport>(
    sink: &RegistrySink<T>,
    reference: &Reference,
    manifest: &RawManifest,
) -> Result<Digest, CopyError> {
    let put = sink.put_manifest(reference, manifest).await;
    put.map_err(|source| CopyError::Manifest { digest: manifest.digest().clone(), source })
}

async fn copy_blob<T: Transport>(
    from: &CopySource,
    part: usize,
    blob: &Descriptor,
    sink: &RegistrySink<T>,
    progress: &Progress,
) -> Result<(), CopyError> {
    let failure = Arc::new(Mutex::new(None));
    let mut tries = 0;
    let open = || {
        tries += 1;
        if tries > 1 {
            progress.send(Event::Restarted { part });
        }
        opened(from, part, blob, progress, &failure)
    };
    let stored = match sink.put_blob(blob, open).await {
        Ok(stored) => stored,
        // What broke the body off is more to the point than that it did.
        Err(source) => {
            let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            let digest = blob.digest.clone();
            return Err(failure.map_or(CopyError::Blob { digest, source }, CopyError::Source));
        }
    };
    let how = match stored {
        Stored::Existed => How::Existed,
        Stored::Mounted => How::Mounted,
        Stored::Sent => How::Uploaded,
    };
    progress.send(Event::Finished { part, how });
    Ok(())
}

/// Opens a blob, and keeps what goes wrong with it.
fn opened(
    from: &CopySource,
    part: usize,
    blob: &Descriptor,
    progress: &Progress,
    failure: &Arc<Mutex<Option<PullError>>>,
) -> Body {
    let pieces = stream_blob(&from.session, &from.name.repository, blob, from.options);
    let (progress, failure) = (progress.clone(), failure.clone());
    pull::body(pieces.map(move |piece| match piece {
        Ok(piece) => {
            progress.send(Event::Advanced { part, bytes: piece.len() as u64 });
            Ok(piece)
        }
        Err(error) => {
            let broken = PullError::Sink(error.to_string().into());
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Err(broken)
        }
    }))
}
