//! Asking whether the registry can take a blob.

use http::Method;
use reposure_oci::RepositoryName;
use reposure_parcel::{
    storage::{self, Storage},
    wire,
};

use super::{Session, SessionError};

impl Session {
    /// Tells whether the surrogate answers [`Self::try_storage`].
    pub fn can_try_storage(&self) -> bool {
        self.hello.can(storage::CAPABILITY)
    }

    /// Has some bytes sent to an upload in a repository, and the upload given up: nothing is stored.
    ///
    /// # Errors
    /// When the registry does not take them, as it would not take a push.
    ///
    /// # Cancel safety
    /// The surrogate gives the upload up all the same.
    pub async fn try_storage(&self, repository: RepositoryName) -> Result<(), SessionError> {
        self.call(Method::POST, wire::STORAGE, Some(&Storage { repository })).await.map(drop)
    }
}
