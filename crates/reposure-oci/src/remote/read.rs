use std::sync::Arc;

use futures::future::BoxFuture;

use super::{
    blob::RemoteBlob,
    error::RemoteError,
    image::{RemoteImage, RemoteIndex},
};
use crate::{
    archive::{
        Archive, Entry, LAYERS_LIMIT,
        layout::is_foreign,
        parts::{ReadyPart, label},
    },
    image::{Artifact, Layer},
    manifest::{Descriptor, ImageManifest, IndexManifest, Manifest, Platform, RawManifest},
    name::{ImageName, Reference, RepositoryName},
    platform,
    registry::Client,
    transport::Transport,
};

/// How deep indexes may be nested.
pub(super) const DEPTH_LIMIT: usize = 4;
/// How many manifests may be reached from an index, each way counted.
pub(super) const MANIFESTS_LIMIT: usize = 1024;

/// Reads the manifests of an image, or of an index and all that it names; of an index only the image of the platform `only`, if
/// one is asked for.
///
/// Layers that need not be in a registry ([non-distributable ones]) are left out where they are not. Blobs are read when they are
/// asked for, by ranges, and checked by whoever reads them.
///
/// [non-distributable ones]: https://github.com/opencontainers/image-spec/blob/main/layer.md#non-distributable-layers
///
/// # Errors
/// When the registry does not give a manifest, or one of them is wrong.
///
/// # Cancel safety
/// A call that is dropped has no effect.
pub async fn read<T: Transport + 'static>(
    client: Arc<Client<T>>,
    name: &ImageName,
    only: Option<&Platform>,
) -> Result<Archive, RemoteError> {
    let mut walk = Walk { client, repository: &name.repository, only, visited: 0 };
    let root = walk.get(&name.reference).await?;
    let artifact = walk.artifact(root, 0).await?;
    let entry = Entry { names: vec![name.to_string()], artifact, omitted: Vec::new() };
    Ok(Archive { entries: vec![entry] })
}

struct Walk<'a, T> {
    client: Arc<Client<T>>,
    repository: &'a RepositoryName,
    only: Option<&'a Platform>,
    visited: usize,
}

impl<T: Transport + 'static> Walk<'_, T> {
    async fn get(&mut self, reference: &Reference) -> Result<RawManifest, RemoteError> {
        self.visited += 1;
        if self.visited > MANIFESTS_LIMIT {
            return Err(RemoteError::TooManyManifests);
        }
        self.client.get_manifest(self.repository, reference).await.map_err(RemoteError::Registry)
    }

    fn artifact(
        &mut self,
        manifest: RawManifest,
        depth: usize,
    ) -> BoxFuture<'_, Result<Artifact, RemoteError>> {
        Box::pin(async move {
            if depth > DEPTH_LIMIT {
                return Err(RemoteError::TooDeep(manifest.digest().clone()));
            }
            let parsed = manifest.parse();
            let wrong = |source| RemoteError::Manifest { digest: manifest.digest().clone(), source };
            match parsed.map_err(wrong)? {
                Manifest::Image(image) => self.image(manifest, &image).await,
                Manifest::Index(index) => match self.only {
                    Some(only) => self.child(choose(&index, only)?, depth).await,
                    None => self.index(manifest, &index, depth).await,
                },
            }
        })
    }

    async fn child(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Artifact, RemoteError> {
        let digest = descriptor.digest.clone();
        let manifest = self.get(&Reference::Digest(digest.clone())).await?;
        let (expected, actual) = (descriptor.size, manifest.bytes().len() as u64);
        if actual != expected {
            return Err(RemoteError::Size { digest, expected, actual });
        }
        self.artifact(manifest, depth + 1).await
    }

    async fn index(
        &mut self,
        manifest: RawManifest,
        index: &IndexManifest,
        depth: usize,
    ) -> Result<Artifact, RemoteError> {
        let mut children = Vec::new();
        for descriptor in &index.manifests {
            children.push(self.child(descriptor, depth).await?);
        }
        Ok(Artifact::Index(Arc::new(RemoteIndex { manifest, children })))
    }

    async fn image(&self, manifest: RawManifest, parsed: &ImageManifest) -> Result<Artifact, RemoteError> {
        if parsed.layers.len() > LAYERS_LIMIT {
            let digest = manifest.digest().clone();
            return Err(RemoteError::TooManyLayers { digest, layers: parsed.layers.len() });
        }
        let mut parts: Vec<Arc<dyn Layer>> = vec![self.part("config".into(), &parsed.config)];
        for layer in &parsed.layers {
            if !is_foreign(&layer.media_type) || self.has(layer).await? {
                parts.push(self.part(label(&layer.digest), layer));
            }
        }
        Ok(Artifact::Image(Arc::new(RemoteImage { manifest, parts })))
    }

    async fn has(&self, layer: &Descriptor) -> Result<bool, RemoteError> {
        let size = self.client.head_blob(self.repository, &layer.digest).await;
        Ok(size.map_err(RemoteError::Registry)?.is_some())
    }

    fn part(&self, label: String, descriptor: &Descriptor) -> Arc<dyn Layer> {
        Arc::new(ReadyPart::new(
            label,
            Arc::new(RemoteBlob {
                client: Arc::clone(&self.client),
                repository: self.repository.clone(),
                descriptor: descriptor.clone(),
            }),
        ))
    }
}

/// Chooses the child of a platform, else an index in the index that does not say what it is of.
fn choose<'a>(index: &'a IndexManifest, only: &Platform) -> Result<&'a Descriptor, RemoteError> {
    let named = index.manifests.iter().filter_map(|child| Some((child.platform.clone()?, child)));
    let nested =
        || index.manifests.iter().find(|child| child.platform.is_none() && child.media_type.is_index());
    platform::choose(only, named.clone()).or_else(nested).ok_or_else(|| RemoteError::NoPlatform {
        wanted: only.clone(),
        known: named.map(|(platform, _)| platform.to_string()).collect(),
    })
}
