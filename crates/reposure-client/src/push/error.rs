//! What can go wrong in a push.

use reposure_oci::{
    BlobError, Digest,
    image::SourceError,
    registry::{self, ErrorCode},
};

use crate::session::SessionError;

/// Why an image was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The source cannot be read, or does not hold what it says.
    #[error("cannot read {part} of the image")]
    Source {
        /// The part.
        part: String,
        /// What is wrong.
        #[source]
        source: SourceError,
    },
    /// A blob cannot be read.
    #[error("cannot read blob {digest}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: BlobError,
    },
    /// A blob's bytes are not what its digest says.
    #[error("the source is corrupt: a blob that should be {expected} is {found}{}", at(origin.as_deref()))]
    Corrupt {
        /// The digest that the manifest names.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
        /// Where they are, if the source tells.
        origin: Option<String>,
    },
    /// The manifest has another digest than the name that it was to get.
    #[error("the image's digest is {found}, and not {wanted} as its name says")]
    OtherDigest {
        /// The digest in the name.
        wanted: Digest,
        /// The digest of the manifest.
        found: Digest,
    },
    /// It cannot be told which blobs are there.
    #[error("cannot ask which blobs are there")]
    Exists(#[source] SessionError),
    /// A blob cannot be sent.
    #[error("cannot push blob {digest} ({size} bytes, of {left} that are still to be stored)")]
    Upload {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// How many bytes the registry lacks of the image, as far as that is known, with this blob's.
        left: u64,
        /// What happened.
        #[source]
        source: SessionError,
    },
    /// The registry confirmed another blob than the one that was sent.
    #[error("the registry stored {found} where {expected} was sent")]
    StoredOther {
        /// The digest of the bytes sent.
        expected: Digest,
        /// The digest that was confirmed.
        found: Digest,
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

impl PushError {
    /// Tells whether the registry lacks a blob that it had confirmed.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self, Self::Manifest { source, .. } if source.has_code(&ErrorCode::ManifestBlobUnknown))
    }
}

fn at(origin: Option<&str>) -> String {
    origin.map(|origin| format!(" ({origin})")).unwrap_or_default()
}
