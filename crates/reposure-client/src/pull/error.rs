//! What can go wrong in a pull.

use std::{io, time::Duration};

use reposure_oci::{BlobError, Digest, RepositoryName, registry, remote::RemoteError, transport::BoxError};

use super::range::blob_path;
use crate::session::SessionError;

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The manifests cannot be had.
    #[error(transparent)]
    Image(Box<RemoteError>),
    /// The registry does not tell whether it has a blob.
    #[error("cannot ask for blob {digest}")]
    Ask {
        /// The blob.
        digest: Digest,
        /// What happened.
        #[source]
        source: registry::Error,
    },
    /// A range of a blob cannot be had.
    #[error("cannot get bytes {start} to {end} of blob {digest}")]
    Range {
        /// The blob.
        digest: Digest,
        /// The offset of the first byte.
        start: u64,
        /// The offset behind the last byte.
        end: u64,
        /// What happened.
        #[source]
        source: SessionError,
    },
    /// The registry answered otherwise than with the range.
    #[error(
        "the registry answered a request for bytes {start} to {end} of blob {digest} with {status}: {message}"
    )]
    Answer {
        /// The blob.
        digest: Digest,
        /// The offset of the first byte.
        start: u64,
        /// The offset behind the last byte.
        end: u64,
        /// The status.
        status: http::StatusCode,
        /// What else is wrong.
        message: &'static str,
        /// How long the registry wants the same request to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// A task ended by itself, which is a defect.
    #[error("a task of the pull failed")]
    Task(#[source] tokio::task::JoinError),
    /// The file does not take what comes.
    #[error("cannot write what was pulled")]
    Write(#[source] io::Error),
    /// The file does not give back what was written to it.
    #[error("cannot read what was pulled")]
    ReadBack(#[source] io::Error),
    /// What was pulled is not what the manifest names.
    #[error("the registry gave other bytes than it should (GET {path})")]
    Blob {
        /// The blob's path in the registry; what it was answered with had a status of success.
        path: String,
        /// What is wrong with the bytes.
        #[source]
        source: BlobError,
    },
    /// The same, where some of it was there at first: that may be what is wrong, and to fetch all of it may do.
    #[error("what an earlier pull left does not fit what the manifest names")]
    Damaged(#[source] Box<Self>),
    /// The sink does not take a piece.
    #[error("cannot write what was pulled")]
    Sink(#[source] BoxError),
}

impl From<RemoteError> for PullError {
    fn from(error: RemoteError) -> Self {
        Self::Image(Box::new(error))
    }
}

impl PullError {
    /// Takes what is wrong with the bytes that the registry gave of a blob.
    pub(super) fn of_bytes(repository: &RepositoryName, blob: &Digest, source: BlobError) -> Self {
        Self::Blob { path: blob_path(repository, blob), source }
    }

    /// Takes wrong bytes for those that were there at first.
    pub(super) fn of_what_was_found(self) -> Self {
        match self {
            Self::Blob { .. } => Self::Damaged(Box::new(self)),
            error => error,
        }
    }

    /// Returns how long the same request is to wait, if the API server or the registry said so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Range { source, .. } => source.retry_after(),
            Self::Answer { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Tells whether nothing came in time.
    pub(super) const fn is_silence(&self) -> bool {
        matches!(self, Self::Range { source, .. } if source.is_silence())
    }

    /// Tells whether what came before this is as good as ever, and so worth being gone on with: the link, a login or the registry failed,
    /// and not the bytes or the disk.
    pub const fn leaves_good_bytes(&self) -> bool {
        matches!(self, Self::Image(_) | Self::Ask { .. } | Self::Range { .. } | Self::Answer { .. })
    }

    /// Tells whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Range { source, .. } => source.is_transient(),
            // The registry, or what is before it, is short of something.
            Self::Answer { status, .. } => matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}
