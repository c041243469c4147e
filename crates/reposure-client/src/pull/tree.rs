//! The manifests of an image or index, and of what refers to it.

use std::{error::Error, sync::Arc};

use reposure_oci::{
    ImageName, registry,
    remote::{self, RemoteError},
};

use super::PullError;
use crate::{
    retry::{Backoff, FIRST_PATIENCE},
    session::Session,
};

pub use reposure_oci::remote::{AttachedTree, Tree};

/// Reads the manifest of `name` and, if it is an index, of all its children.
///
/// # Errors
/// When one of them cannot be had or is malformed; what may be there later is waited for, 30 s at most.
pub async fn fetch_tree(session: &Arc<Session>, name: &ImageName) -> Result<Tree, PullError> {
    let limits = registry::Limits { patience: FIRST_PATIENCE, ..registry::Limits::default() };
    let client = registry::Client::with_limits(session.clone(), limits);
    let mut backoff = Backoff::new(FIRST_PATIENCE);
    loop {
        match remote::fetch_tree(&client, name).await {
            Err(error) if is_transient(&error) && backoff.pause().await => {
                tracing::info!(error = &error as &dyn Error, "trying again");
            }
            done => return done.map_err(Into::into),
        }
    }
}

/// Tells whether the same may succeed later.
fn is_transient(error: &RemoteError) -> bool {
    error.registry().is_some_and(registry::Error::is_transient)
}

/// Reads the manifests of what refers to the image or index in `tree`, to its children, and to what was found so, into
/// [`Tree::referrers`]; `name` is the one that it was read by.
///
/// # Errors
/// When the registry cannot be asked, or one of them cannot be had or is malformed.
///
/// # Cancel safety
/// Dropping the future ends every exchange.
pub async fn fetch_referrers(
    session: &Arc<Session>,
    name: &ImageName,
    tree: &mut Tree,
) -> Result<(), PullError> {
    let client = registry::Client::new(session.clone());
    remote::fetch_referrers(&client, &name.repository, tree).await.map_err(Into::into)
}
