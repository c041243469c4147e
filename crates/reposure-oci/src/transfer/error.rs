//! What can go wrong on the way into a registry.

use crate::{blob::BlobError, digest::Digest, image::SourceError, registry, remote::RemoteError};

/// Why an image was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The image to be copied cannot be had.
    #[error("cannot read the image that is to be copied")]
    Fetch(#[source] Box<RemoteError>),
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
    /// The source says two sizes of a blob.
    #[error("two sizes are said of blob {0}")]
    TwoSizes(Digest),
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
