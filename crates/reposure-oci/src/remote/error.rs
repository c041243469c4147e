use crate::{
    digest::Digest,
    manifest::{ManifestError, Platform},
    registry,
};

use super::read::{DEPTH_LIMIT, MANIFESTS_LIMIT};
use crate::archive::LAYERS_LIMIT;

/// Why an image of another registry cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The registry does not give a manifest, or tell of a blob.
    #[error("the image cannot be read")]
    Registry(#[source] registry::Error),
    /// A manifest is malformed.
    #[error("manifest {digest} cannot be used")]
    Manifest {
        /// The manifest.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// A manifest has another size than the index that names it says.
    #[error("manifest {digest} has {actual} bytes, where its index says {expected}")]
    Size {
        /// The manifest.
        digest: Digest,
        /// The size in the index, in bytes.
        expected: u64,
        /// Its size in bytes.
        actual: u64,
    },
    /// Indexes are nested too deep.
    #[error("index {0} is nested deeper than {DEPTH_LIMIT} levels")]
    TooDeep(Digest),
    /// There are too many manifests.
    #[error("the index leads to more than {MANIFESTS_LIMIT} manifests")]
    TooManyManifests,
    /// There are too many layers.
    #[error("image {digest} has {layers} layers, over the limit of {LAYERS_LIMIT}")]
    TooManyLayers {
        /// The manifest's digest.
        digest: Digest,
        /// How many layers there are.
        layers: usize,
    },
    /// There is no image of the platform that was asked for.
    #[error("there is no image of {wanted}, but of: {}", .known.join(", "))]
    NoPlatform {
        /// The platform.
        wanted: Platform,
        /// The platforms that there are.
        known: Vec<String>,
    },
}
