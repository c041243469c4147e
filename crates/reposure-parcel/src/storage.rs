//! `POST /reposure/v1/storage`: whether the registry can take a blob.
//!
//! The surrogate opens an upload, sends some bytes to it, and gives it up. No blob is stored, and no tag. The answer is 204, or the
//! problem that a push would meet.

use reposure_oci::RepositoryName;
use serde::{Deserialize, Serialize};

/// How a surrogate's hello names it.
pub const CAPABILITY: &str = "storage";

/// Asks whether a repository can take a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// The repository; it need not be there yet, where the registry makes repositories by itself.
    pub repository: RepositoryName,
}
