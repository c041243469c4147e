//! One image of an index, by its platform.

use anyhow::Result;
use reposure_client::pull::{PullError, Tree};
use reposure_oci::{Artifact, ImageName, Platform, Reference, registry, remote};

use super::{Pull, is_missing, missing};

/// Returns the manifest of the image of `platform`.
pub(super) async fn tree(pull: &Pull, platform: &Platform, registry: &str) -> Result<Tree> {
    let client = registry::Client::new(pull.session.clone());
    let artifact = match remote::fetch(&client, &pull.name, None).await {
        Err(error) if is_missing(&error, &pull.name) => return Err(missing(&pull.name, registry)),
        fetched => fetched.map_err(PullError::from)?,
    };
    // An index says of which platform its images are; an image that is none tells it in its configuration.
    let chosen = artifact.of_platform(platform).await?;
    let digest = match chosen {
        Artifact::Image(image) => image.manifest().await.map_err(anyhow::Error::from_boxed)?.digest().clone(),
        Artifact::Index(index) => index.manifest().digest().clone(),
    };
    let repository = pull.name.repository.clone();
    pull.tree(&ImageName { repository, reference: Reference::Digest(digest) }, registry).await
}
