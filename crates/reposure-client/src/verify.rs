//! Reads an image or index whole, and names everything that is not as it should be. Nothing is stored.

mod fault;
mod layers;
mod manifests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt as _, stream};
use reposure_oci::{Digest, ImageName, manifest::ImageManifest};

use crate::{
    progress::Progress,
    pull::{PullError, PullOptions},
    session::Session,
};
pub use fault::{Fault, Problem};
use layers::Reader;
use manifests::Walk;

/// The blobs that are read at once. Each takes memory for its ranges in flight.
const BLOBS: usize = 2;

/// How to verify.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions {
    /// How blobs are fetched.
    pub pull: PullOptions,
    /// Whether layers are decompressed too, and compared with the diff IDs in the configurations.
    pub diff_ids: bool,
}

/// What was read, and what was found.
#[derive(Debug)]
pub struct Report {
    /// The digest of the image's manifest.
    pub digest: Digest,
    /// How many manifests were read.
    pub manifests: usize,
    /// How many blobs were asked for.
    pub blobs: usize,
    /// How many bytes they have by their descriptors.
    pub bytes: u64,
    /// How many layers were decompressed and compared with their diff IDs.
    pub diff_ids: usize,
    /// How many layers there are, each counted once.
    pub layers: usize,
    /// What is not as it should be; nothing if the image is whole.
    pub faults: Vec<Fault>,
}

/// Reads every manifest and blob of `name`, and compares sizes and digests.
///
/// # Errors
/// When the image is not there, or what is there cannot be read for now: that says nothing of the image.
///
/// # Cancel safety
/// Has no effect, so that it may be dropped.
pub async fn verify(
    session: &Arc<Session>,
    name: &ImageName,
    options: VerifyOptions,
    progress: &Progress,
) -> Result<Report, PullError> {
    let walk = Walk::run(session, name).await?;
    let mut faults = walk.faults;
    let reader = Reader::new(session, &name.repository, options, progress);
    let blobs = reader.plan(&walk.images, &mut faults).await?;
    let mut read = stream::iter(blobs).map(|planned| reader.layer(planned)).buffered(BLOBS);
    let mut diff_ids = 0;
    while let Some(found) = read.next().await {
        let found = found?;
        diff_ids += usize::from(found.is_compared);
        faults.extend(found.faults);
    }
    let (blobs, bytes) = totals(&walk.images);
    let layers = layers(&walk.images);
    Ok(Report { digest: walk.root, manifests: walk.manifests, blobs, bytes, diff_ids, layers, faults })
}

fn layers(images: &[(Digest, ImageManifest)]) -> usize {
    let layers = images.iter().flat_map(|(_, image)| &image.layers);
    layers.map(|layer| &layer.digest).collect::<HashSet<_>>().len()
}

/// Counts blobs, each once, and their bytes.
fn totals(images: &[(Digest, ImageManifest)]) -> (usize, u64) {
    let blobs = images.iter().flat_map(|(_, image)| std::iter::once(&image.config).chain(&image.layers));
    let sizes: HashMap<_, _> = blobs.map(|blob| (&blob.digest, blob.size)).collect();
    (sizes.len(), sizes.values().fold(0, |sum, size| sum.saturating_add(*size)))
}
