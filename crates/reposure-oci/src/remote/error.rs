use http::StatusCode;

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
    #[error("the manifest of {name} cannot be used{}", came(url))]
    Malformed {
        /// The image, or a child of an index by its digest.
        name: ImageName,
        /// The URL that answered with it, or the path where the transport knows no more; the status was 200.
        url: String,
        /// What is wrong.
        #[source]
        source: Box<ManifestError>,
    },
    /// A manifest has another size than the index above it says.
    #[error(
        "the manifest of {name} has {actual} bytes, where the index above it says {expected}{}",
        came(url)
    )]
    Size {
        /// The child, by its digest.
        name: ImageName,
        /// The URL that answered with it, or the path where the transport knows no more; the status was 200.
        url: String,
        /// The size in the index, in bytes.
        expected: u64,
        /// The manifest's size in bytes.
        actual: u64,
    },
    /// Indexes are nested too deep.
    #[error("{name} nests indexes more than {limit} deep{}", came(url))]
    TooDeep {
        /// The index that is too deep, by its digest.
        name: ImageName,
        /// The URL that answered with it, or the path where the transport knows no more; the status was 200.
        url: String,
        /// How deep they may be nested.
        limit: usize,
    },
    /// An index has more manifests below it than anyone makes.
    #[error("{name} leads to more than {limit} manifests{}", came(url))]
    TooMany {
        /// The image.
        name: ImageName,
        /// The URL that answered with it, or the path where the transport knows no more; the status was 200.
        url: String,
        /// How many it may have.
        limit: usize,
    },
    /// An image has more layers than anyone makes.
    #[error("image {digest} has {layers} layers, over the limit of {limit}{}", came(url))]
    TooManyLayers {
        /// The manifest's digest.
        digest: Digest,
        /// The URL that answered with it, or the path where the transport knows no more; the status was 200.
        url: String,
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

/// Names the request that a manifest came by, as errors of the registry do.
fn came(url: &str) -> String {
    format!(" (GET {url}, {})", StatusCode::OK)
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
