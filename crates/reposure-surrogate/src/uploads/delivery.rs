//! The task of one upload that brings its bytes to the registry.

use std::sync::Arc;

use reposure_oci::transport::{self, Transport};
use reposure_parcel::{
    problem::Problem,
    upload::{How, Stored},
};
use tokio::runtime::Handle;

use super::{feed, upload::Upload};
use crate::upstream::blobs::{self, Location};

/// Sends the bytes as they come and returns what the registry made of them.
pub(super) async fn deliver(upload: Arc<Upload>, registry: Arc<dyn Transport>) -> Result<Stored, Problem> {
    let location = match upload.take_location() {
        Some(location) => location,
        None => blobs::open(&registry, &upload.key.repository).await?,
    };
    let mut open = OpenAtRegistry { registry: registry.clone(), location: Some(location.clone()) };
    let digest = match upload.identity() {
        Some((digest, size)) => {
            let body = feed::body(upload.clone(), Some(size));
            blobs::put(&registry, &upload.key.repository, &location, (&digest, size), body).await?;
            digest
        }
        None => stream(&upload, &registry, &mut open, &location).await?,
    };
    open.location = None;
    Ok(Stored { digest, how: How::Uploaded })
}

/// Sends bytes whose digest or size is not known yet, in docker's own form: one streamed `PATCH`, then a `PUT` with the digest.
async fn stream(
    upload: &Arc<Upload>,
    registry: &Arc<dyn Transport>,
    open: &mut OpenAtRegistry,
    location: &Location,
) -> Result<reposure_oci::Digest, Problem> {
    let location = blobs::patch(registry, location, feed::body(upload.clone(), None)).await?;
    open.location = Some(location.clone());
    let (digest, size) = upload.sealed().await;
    blobs::put(registry, &upload.key.repository, &location, (&digest, size), transport::empty()).await?;
    Ok(digest)
}

/// An upload that is open at the registry. It is cancelled there when this is dropped, in a task that has a deadline.
struct OpenAtRegistry {
    registry: Arc<dyn Transport>,
    location: Option<Location>,
}

impl Drop for OpenAtRegistry {
    fn drop(&mut self) {
        if let Some(location) = self.location.take() {
            cancel(self.registry.clone(), location);
        }
    }
}

/// Cancels an upload at the registry, in a task that has a deadline.
pub(super) fn cancel(registry: Arc<dyn Transport>, location: Location) {
    // There is no runtime any more when the process ends.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move { blobs::cancel(&registry, &location).await });
    }
}
