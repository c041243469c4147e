//! What is not as it should be.

use std::{error::Error as _, fmt};

use reposure_oci::{BlobError, Digest, diff_id::DiffIdError, manifest::ManifestError, registry};

use crate::pull::PullError;

/// A part of an image that is not as it should be.
#[derive(Debug)]
pub struct Fault {
    /// The manifest or blob, by the digest that it should have.
    pub digest: Digest,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a manifest or blob.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The registry does not have it.
    #[error("it is missing")]
    Missing,
    /// It has another size than its descriptor says.
    #[error("it has {actual} bytes instead of {expected}")]
    Size {
        /// What the descriptor says, in bytes.
        expected: u64,
        /// What the registry has, in bytes.
        actual: u64,
    },
    /// The registry gives something else for the manifest.
    #[error("it is no such manifest")]
    Manifest(#[source] registry::Error),
    /// The manifest is malformed.
    #[error("it is malformed")]
    Malformed(#[source] ManifestError),
    /// Indexes are nested too deep, or there are too many manifests.
    #[error("it is one manifest too many, or nested too deep")]
    TooMany,
    /// The bytes of the blob are others.
    #[error("it holds other bytes")]
    Bytes(#[source] BlobError),
    /// The registry answers otherwise than with the blob.
    #[error("it cannot be read")]
    Answer(#[source] Box<PullError>),
    /// The configuration cannot be read.
    #[error("it is no configuration of an image")]
    Config(#[source] serde_json::Error),
    /// The configuration is larger than any that is taken.
    #[error("it has more than {0} bytes, too many for a configuration")]
    ConfigSize(usize),
    /// The configuration has another number of diff IDs than the manifest has layers.
    #[error("it has {diff_ids} diff IDs, where manifest {manifest} has {layers} layers")]
    Count {
        /// The manifest.
        manifest: Digest,
        /// How many diff IDs there are.
        diff_ids: usize,
        /// How many layers there are.
        layers: usize,
    },
    /// The layer cannot be decompressed.
    #[error("it cannot be decompressed")]
    Unpack(#[source] DiffIdError),
    /// The layer holds another tar than the configuration says.
    #[error("its diff ID is {actual} instead of {expected}")]
    DiffId {
        /// What the configuration says.
        expected: Digest,
        /// The digest of the tar.
        actual: Digest,
    },
}

impl Problem {
    /// Returns a word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Size { .. } | Self::Bytes(BlobError::Size { .. }) => "size",
            Self::Bytes(_) => "digest",
            Self::Manifest(_) | Self::Malformed(_) | Self::TooMany => "manifest",
            Self::Answer(_) => "answer",
            Self::Config(_) | Self::ConfigSize(_) | Self::Count { .. } => "config",
            Self::Unpack(_) | Self::DiffId { .. } => "diff-id",
        }
    }
}

impl fmt::Display for Fault {
    /// Writes all on one line, with the causes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.digest, self.problem)?;
        let mut causes = std::iter::successors(self.problem.source(), |error| (*error).source());
        causes.try_for_each(|cause| write!(formatter, ": {cause}"))
    }
}
