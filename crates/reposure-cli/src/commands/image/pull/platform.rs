//! One image of an index, by its platform.

use std::sync::Arc;

use anyhow::Result;
use reposure_client::pull::Tree;
use reposure_oci::{
    Artifact, ImageName, Platform, Reference, registry,
    remote::{self, RemoteError},
};

use super::{Pull, missing};

/// Returns the manifest of the image of `platform`.
pub(super) async fn tree(pull: &Pull, platform: &Platform, registry: &str) -> Result<Tree> {
    let client = Arc::new(registry::Client::new(pull.session.clone()));
    let archive = match remote::read(client, &pull.name, None).await {
        Err(RemoteError::Registry(error)) if error.is_not_found() => {
            return Err(missing(&pull.name, registry));
        }
        archive => archive?,
    };
    // An index says of which platform its images are; an image that is none tells it in its configuration.
    let chosen = archive.select(None)?.artifact.of_platform(platform).await?;
    let digest = match chosen {
        Artifact::Image(image) => image.manifest().await.map_err(anyhow::Error::from_boxed)?.digest().clone(),
        Artifact::Index(index) => index.manifest().digest().clone(),
    };
    let repository = pull.name.repository.clone();
    pull.tree(&ImageName { repository, reference: Reference::Digest(digest) }, registry).await
}
