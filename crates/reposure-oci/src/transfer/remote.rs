//! Images of a registry as sources.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{
    blob::RemoteBlob,
    error::FetchError,
    tree::{Tree, fetch_tree},
};
use crate::{
    archive::{
        layout::is_foreign,
        parts::{ReadyPart, label},
    },
    image::{Artifact, Image, Index, Layer, SourceError},
    manifest::{Descriptor, RawManifest},
    name::{ImageName, RepositoryName},
    registry::Client,
    transport::Transport,
};

/// Finds an image or index in a registry. Its manifests are read now, its blobs when they are needed.
///
/// The blobs' bytes are checked by whoever reads them, as those of any [`Blob`](crate::Blob) are. Layers that are elsewhere by
/// their media types, as those of Windows are, are left out.
///
/// # Errors
/// When a manifest is not there, is malformed or is another than its index says, and when there are too many of them.
///
/// # Cancel safety
/// A call that is dropped has no effect.
pub async fn fetch<T: Transport + Clone + 'static>(
    client: &Client<T>,
    name: &ImageName,
) -> Result<Artifact, FetchError> {
    let tree = fetch_tree(client, name).await?;
    Ok(artifact(client, &name.repository, tree))
}

fn artifact<T: Transport + Clone + 'static>(
    client: &Client<T>,
    repository: &RepositoryName,
    tree: Tree,
) -> Artifact {
    let Tree { manifest, children, blobs, .. } = tree;
    if manifest.media_type().is_index() {
        let children = children.into_iter().map(|child| artifact(client, repository, child)).collect();
        return Artifact::Index(Arc::new(RemoteIndex { manifest, children }));
    }
    let blobs = blobs.into_iter().filter(|blob| !is_foreign(&blob.media_type)).enumerate();
    let parts = blobs.map(|(number, descriptor)| part(client, repository, number, descriptor)).collect();
    Artifact::Image(Arc::new(RemoteImage { manifest, parts }))
}

fn part<T: Transport + Clone + 'static>(
    client: &Client<T>,
    repository: &RepositoryName,
    number: usize,
    descriptor: Descriptor,
) -> Arc<dyn Layer> {
    let label = if number == 0 { "config".into() } else { label(&descriptor.digest) };
    let blob = RemoteBlob::new(client.clone(), repository.clone(), descriptor);
    Arc::new(ReadyPart::new(label, Arc::new(blob)))
}

#[derive(Debug)]
struct RemoteImage {
    manifest: RawManifest,
    parts: Vec<Arc<dyn Layer>>,
}

impl Image for RemoteImage {
    fn parts(&self) -> &[Arc<dyn Layer>] {
        &self.parts
    }

    fn manifest(&self) -> BoxFuture<'_, Result<RawManifest, SourceError>> {
        Box::pin(std::future::ready(Ok(self.manifest.clone())))
    }
}

#[derive(Debug)]
struct RemoteIndex {
    manifest: RawManifest,
    children: Vec<Artifact>,
}

impl Index for RemoteIndex {
    fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    fn children(&self) -> &[Artifact] {
        &self.children
    }
}
