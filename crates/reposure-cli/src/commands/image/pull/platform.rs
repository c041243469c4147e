//! One image of an index, by its platform.

use anyhow::Result;
use reposure_client::pull::{PullError, Tree};
use reposure_oci::{
    Artifact, ImageName, Platform, Reference, registry,
    remote::{self, RemoteError},
};

use super::{Pull, missing};

/// Returns the manifest of the image of `platform`.
pub(super) async fn tree(pull: &Pull, platform: &Platform, registry: &str) -> Result<Tree> {
    let client = registry::Client::new(pull.session.clone());
    let root = client.head_manifest(&pull.name.repository, &pull.name.reference).await?;
    let Some(root) = root else { return Err(missing(&pull.name, registry)) };
    // Of an index only the one image is asked for: the registry may well have no other.
    let only = root.media_type.is_index().then_some(platform);
    let chosen = match remote::fetch(&client, &pull.name, only).await {
        Ok(image) if only.is_some() => image,
        // Images tell it in their configurations, those of an index that does not say it too.
        Ok(image) => image.of_platform(platform).await?,
        Err(RemoteError::NoPlatform { known, .. }) if known.is_empty() => {
            let all = remote::fetch(&client, &pull.name, None).await.map_err(PullError::from)?;
            all.of_platform(platform).await?
        }
        Err(error) => return Err(PullError::from(error).into()),
    };
    let digest = match chosen {
        Artifact::Image(image) => image.manifest().await.map_err(anyhow::Error::from_boxed)?.digest().clone(),
        Artifact::Index(index) => index.manifest().digest().clone(),
    };
    let repository = pull.name.repository.clone();
    pull.tree(&ImageName { repository, reference: Reference::Digest(digest) }, registry).await
}
