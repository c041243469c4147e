//! The manifests of an image or index.

use std::sync::Arc;

use reposure_oci::{
    ImageName, registry,
    transfer::{self, FetchError},
};

use super::PullError;
use crate::session::Session;

pub use reposure_oci::transfer::Tree;

/// Reads the manifest of `name` and, if it is an index, of all its children.
///
/// # Errors
/// When one of them cannot be had or is malformed.
pub async fn fetch_tree(session: &Arc<Session>, name: &ImageName) -> Result<Tree, PullError> {
    let client = registry::Client::new(session.clone());
    transfer::fetch_tree(&client, name).await.map_err(Into::into)
}

impl From<FetchError> for PullError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Manifest { name, source } => Self::Manifest { name, source },
            FetchError::Malformed { name, source } => Self::Malformed { name, source },
            FetchError::Size { name, expected, actual } => Self::ManifestSize { name, expected, actual },
            FetchError::TooDeep { name, limit } => Self::TooDeep { name, limit },
            FetchError::TooMany { name, limit } => Self::TooMany { name, limit },
        }
    }
}
