use crate::{
    digest::Digest,
    manifest::{ManifestError, Platform},
    name::ImageName,
    registry,
};

/// Why an image of a registry cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The registry does not give a manifest.
    #[error("cannot get the manifest of {name}")]
    Manifest {
        /// The image, or a child of an index by its digest.
        name: ImageName,
        /// What happened.
        #[source]
        source: registry::Error,
    },
    /// A manifest is malformed.
    #[error("the manifest of {name} cannot be used")]
    Malformed {
        /// The image, or a child of an index by its digest.
        name: ImageName,
        /// What is wrong.
        #[source]
        source: ManifestError,
    },
    /// A manifest has another size than the index above it says.
    #[error("the manifest of {name} has {actual} bytes, where the index above it says {expected}")]
    Size {
        /// The child, by its digest.
        name: ImageName,
        /// The size in the index, in bytes.
        expected: u64,
        /// The manifest's size in bytes.
        actual: u64,
    },
    /// Indexes are nested too deep.
    #[error("{name} nests indexes more than {limit} deep")]
    TooDeep {
        /// The image.
        name: ImageName,
        /// How deep they may be nested.
        limit: usize,
    },
    /// An index has more manifests below it than anyone makes.
    #[error("{name} has more than {limit} manifests")]
    TooMany {
        /// The image.
        name: ImageName,
        /// How many it may have.
        limit: usize,
    },
    /// An image has more layers than anyone makes.
    #[error("image {digest} has {layers} layers, over the limit of {limit}")]
    TooManyLayers {
        /// The manifest's digest.
        digest: Digest,
        /// How many layers there are.
        layers: usize,
        /// How many there may be.
        limit: usize,
    },
    /// There is no image of the platform that was asked for.
    #[error("there is no image of {wanted}, but of: {}", .known.join(", "))]
    NoPlatform {
        /// The platform.
        wanted: Platform,
        /// The platforms that there are.
        known: Vec<String>,
    },
    /// The registry does not tell whether it has a layer that need not be in it.
    #[error("cannot ask for layer {digest}")]
    Layer {
        /// The layer.
        digest: Digest,
        /// What happened.
        #[source]
        source: registry::Error,
    },
    /// The registry does not tell what refers to a manifest.
    #[error("cannot list what refers to {subject}")]
    Referrers {
        /// The manifest that is referred to.
        subject: Digest,
        /// What happened.
        #[source]
        source: registry::Error,
    },
}

impl RemoteError {
    /// Returns what the registry said, where that is what is wrong.
    pub const fn registry(&self) -> Option<&registry::Error> {
        match self {
            Self::Manifest { source, .. } | Self::Layer { source, .. } | Self::Referrers { source, .. } => {
                Some(source)
            }
            Self::Malformed { .. }
            | Self::Size { .. }
            | Self::TooDeep { .. }
            | Self::TooMany { .. }
            | Self::TooManyLayers { .. }
            | Self::NoPlatform { .. } => None,
        }
    }
}
