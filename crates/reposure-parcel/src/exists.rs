//! `POST /reposure/v1/exists`: which blobs are missing, in one round trip.

use reposure_oci::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};

/// Asks which of some blobs are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exists {
    /// The repository that is to hold them.
    pub repository: RepositoryName,
    /// The blobs, at most [`crate::limits::EXISTS_DIGESTS`].
    pub digests: Vec<Digest>,
    /// How many uploads begin at once if all of them are missing, so that the registry may be made ready for them.
    #[serde(default)]
    pub uploads: usize,
}

/// The answer, with status 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// The blobs that the registry does not have, in the order in which they were asked for.
    pub missing: Vec<Digest>,
}
