use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};

use super::{
    blob::RemoteBlob,
    error::RemoteError,
    image::{RemoteImage, RemoteIndex},
    referrers::fetch_referrers,
    tree::{AttachedTree, Tree, Walk, url},
};
use crate::{
    archive::{
        Attached, LAYERS_LIMIT,
        parts::{ReadyPart, label},
    },
    image::{Artifact, Layer},
    manifest::{Descriptor, Platform},
    name::{ImageName, Reference, RepositoryName},
    registry::Client,
    transport::Transport,
};

/// Finds an image in a registry, or an index with all that it names; of an index only the image of the platform `only`, if one is
/// asked for. Manifests are read now, blobs when they are needed.
///
/// The blobs' bytes are checked by whoever reads them, as those of any [`Blob`](crate::Blob) are. Layers that need not be in a
/// registry ([non-distributable ones]) are left out where they are not.
///
/// [non-distributable ones]: https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers
///
/// # Errors
/// When a manifest is not there, is malformed or is another than its index says, when there are too many of them or of an image's
/// layers, and when there is no image of the platform.
///
/// # Cancel safety
/// A call that is dropped has no effect.
pub async fn fetch<T: Transport + Clone + 'static>(
    client: &Client<T>,
    name: &ImageName,
    only: Option<&Platform>,
) -> Result<Artifact, RemoteError> {
    let tree = Walk::new(client, only).root(name.clone()).await?;
    artifact(client, &name.repository, &tree).await
}

/// As [`fetch`], with what refers to the image or index, to one of its children, or to another referrer; what is referred to comes
/// first.
///
/// # Errors
/// As [`fetch`], and when the registry does not tell what refers to a manifest.
///
/// # Cancel safety
/// A call that is dropped has no effect.
pub async fn fetch_with_referrers<T: Transport + Clone + 'static>(
    client: &Client<T>,
    name: &ImageName,
    only: Option<&Platform>,
) -> Result<(Artifact, Vec<Attached>), RemoteError> {
    let mut tree = Walk::new(client, only).root(name.clone()).await?;
    fetch_referrers(client, &name.repository, &mut tree).await?;
    let mut referrers = Vec::with_capacity(tree.referrers.len());
    for AttachedTree { tag, tree } in &tree.referrers {
        let artifact = artifact(client, &name.repository, tree).await?;
        referrers.push(Attached { tag: tag.clone(), artifact });
    }
    Ok((artifact(client, &name.repository, &tree).await?, referrers))
}

/// As [`fetch`], of manifests that were read before; what refers to them is left out.
///
/// # Errors
/// When an image has too many layers, or the registry does not tell whether it has a layer that need not be there.
///
/// # Cancel safety
/// A call that is dropped has no effect.
pub async fn artifact<T: Transport + Clone + 'static>(
    client: &Client<T>,
    repository: &RepositoryName,
    tree: &Tree,
) -> Result<Artifact, RemoteError> {
    Source { client, repository }.artifact(tree).await
}

struct Source<'a, T> {
    client: &'a Client<T>,
    repository: &'a RepositoryName,
}

impl<T: Transport + Clone + 'static> Source<'_, T> {
    /// The depth is bounded where the tree is read.
    fn artifact<'a>(&'a self, tree: &'a Tree) -> BoxFuture<'a, Result<Artifact, RemoteError>> {
        async move {
            if !tree.manifest.media_type().is_index() {
                return self.image(tree).await;
            }
            let mut children = Vec::with_capacity(tree.children.len());
            for child in &tree.children {
                children.push(self.artifact(child).await?);
            }
            Ok(Artifact::Index(Arc::new(RemoteIndex { manifest: tree.manifest.clone(), children })))
        }
        .boxed()
    }

    async fn image(&self, tree: &Tree) -> Result<Artifact, RemoteError> {
        // The first one is the configuration.
        let layers = tree.blobs.len().saturating_sub(1);
        if layers > LAYERS_LIMIT {
            let digest = tree.manifest.digest().clone();
            let name = ImageName {
                repository: self.repository.clone(),
                reference: Reference::Digest(digest.clone()),
            };
            let url = url(self.client, &name);
            return Err(RemoteError::TooManyLayers { digest, url, layers, limit: LAYERS_LIMIT });
        }
        let mut parts = Vec::with_capacity(tree.blobs.len());
        for (number, blob) in tree.blobs.iter().enumerate() {
            if !blob.media_type.is_foreign() || self.has(blob).await? {
                parts.push(self.part(number, blob));
            }
        }
        Ok(Artifact::Image(Arc::new(RemoteImage { manifest: tree.manifest.clone(), parts })))
    }

    async fn has(&self, layer: &Descriptor) -> Result<bool, RemoteError> {
        let size = self.client.head_blob(self.repository, &layer.digest).await;
        let size = size.map_err(|source| RemoteError::Layer { digest: layer.digest.clone(), source })?;
        Ok(size.is_some())
    }

    fn part(&self, number: usize, descriptor: &Descriptor) -> Arc<dyn Layer> {
        let label = if number == 0 { "config".into() } else { label(&descriptor.digest) };
        let blob = RemoteBlob::new(self.client.clone(), self.repository.clone(), descriptor.clone());
        Arc::new(ReadyPart::new(label, Arc::new(blob)))
    }
}
