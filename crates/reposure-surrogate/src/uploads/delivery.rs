//! The task of one upload that brings its bytes to the registry.

use std::sync::Arc;

use reposure_oci::{
    Digest,
    registry::{Error, Session},
};
use reposure_parcel::{
    problem::Problem,
    upload::{How, Stored},
};
use tokio::runtime::Handle;

use super::{feed, upload::Upload};
use crate::upstream::{Client, refusal};

/// Sends the bytes as they come and returns what the registry made of them.
pub(super) async fn deliver(upload: Arc<Upload>, registry: Client) -> Result<Stored, Problem> {
    let digest = send(&upload, &registry).await.map_err(|error| refusal::of(&error))?;
    Ok(Stored { digest, how: How::Uploaded })
}

async fn send(upload: &Arc<Upload>, registry: &Client) -> Result<Digest, Error> {
    let mut session = match upload.take_session() {
        Some(session) => session,
        None => registry.start_upload(&upload.key.repository).await?,
    };
    let mut open = OpenAtRegistry { registry: registry.clone(), session: Some(session.clone()) };
    let stored = if let Some((digest, size)) = upload.identity() {
        let body = feed::body(upload.clone(), Some(size));
        registry.finish_monolithic(session, &digest, size, body).await?
    } else {
        // Docker's own form, for what is not known yet: one streamed `PATCH`, then a `PUT` with the digest.
        registry.patch_stream(&mut session, feed::body(upload.clone(), None)).await?;
        open.session = Some(session.clone());
        let (digest, size) = upload.sealed().await;
        registry.finish_upload(session, &digest, size).await?
    };
    open.session = None;
    Ok(stored)
}

/// An upload that is open at the registry. It is cancelled there when this is dropped.
struct OpenAtRegistry {
    registry: Client,
    session: Option<Session>,
}

impl Drop for OpenAtRegistry {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            cancel(self.registry.clone(), session);
        }
    }
}

/// Cancels an upload at the registry, in a task that has a deadline. What comes of it does not matter: registries purge what is
/// left in time.
pub(super) fn cancel(registry: Client, session: Session) {
    // There is no runtime any more when the process ends.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            if let Err(error) = registry.cancel_upload(session).await {
                tracing::debug!(error = crate::answer::chain(&error), "an upload stays open at the registry");
            }
        });
    }
}
