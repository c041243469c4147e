//! What can go wrong between registries and everything else.

use crate::{
    blob::BlobError, digest::Digest, image::SourceError, manifest::ManifestError, name::ImageName, registry,
};

/// Why an image of a registry cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
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

/// Why an image was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The image to be copied cannot be had.
    #[error("cannot read the image that is to be copied")]
    Fetch(#[source] Box<FetchError>),
    /// The source cannot be read, or does not hold what it says.
    #[error("cannot read {part} of the image")]
    Source {
        /// The part.
        part: String,
        /// What is wrong.
        #[source]
        source: SourceError,
    },
    /// A blob cannot be read, or its bytes are not what its digest says.
    #[error("cannot read blob {digest}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: BlobError,
    },
    /// The manifest has another digest than the name that it was to get.
    #[error("the image's digest is {found}, and not {wanted} as its name says")]
    OtherDigest {
        /// The digest in the name.
        wanted: Digest,
        /// The digest of the manifest.
        found: Digest,
    },
    /// A blob cannot be sent.
    #[error("cannot push blob {digest}")]
    Upload {
        /// The blob.
        digest: Digest,
        /// What happened.
        #[source]
        source: registry::Error,
    },
    /// The registry does not take a manifest.
    #[error("cannot push manifest {digest}")]
    Manifest {
        /// The manifest.
        digest: Digest,
        /// What happened.
        #[source]
        source: registry::Error,
    },
    /// A task ended by itself, which is a defect.
    #[error("a task of the push failed")]
    Task(#[source] tokio::task::JoinError),
}
