//! The manifests of an image or index.

use std::collections::HashSet;

use futures::{FutureExt as _, future::BoxFuture};

use super::error::FetchError;
use crate::{
    manifest::{Descriptor, Manifest, RawManifest},
    name::{ImageName, Reference},
    registry::Client,
    transport::Transport,
};

/// How deep indexes may be nested: the ones that people make have one level.
const INDEX_DEPTH: usize = 4;
/// How many manifests an image may consist of: some hundred platforms with an attestation each. They are held in memory.
const MANIFESTS: usize = 1024;

/// A manifest with what it names.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The manifest's bytes.
    pub manifest: RawManifest,
    /// The children of an index, in its order.
    pub children: Vec<Self>,
    /// The configuration and layers of an image.
    pub blobs: Vec<Descriptor>,
}

impl Tree {
    /// Lists the blobs of all images in it, each once.
    pub fn blobs(&self) -> Vec<Descriptor> {
        let (mut blobs, mut seen) = (Vec::new(), HashSet::new());
        self.collect(&mut |blob| {
            if seen.insert(blob.digest.clone()) {
                blobs.push(blob.clone());
            }
        });
        blobs
    }

    fn collect(&self, take: &mut impl FnMut(&Descriptor)) {
        self.children.iter().for_each(|child| child.collect(take));
        self.blobs.iter().for_each(take);
    }
}

/// Reads the manifest of `name` and, if it is an index, of all its children.
///
/// # Errors
/// When one of them cannot be had, is malformed or is another than its index says, and when they are too many or nested too
/// deep.
///
/// # Cancel safety
/// A call that is dropped has no effect.
pub async fn fetch_tree<T: Transport>(client: &Client<T>, name: &ImageName) -> Result<Tree, FetchError> {
    let manifest = client.get_manifest(&name.repository, &name.reference).await;
    let manifest = manifest.map_err(|source| FetchError::Manifest { name: name.clone(), source })?;
    Walk { client, left: MANIFESTS }.tree(name.clone(), manifest, INDEX_DEPTH).await
}

struct Walk<'a, T> {
    client: &'a Client<T>,
    left: usize,
}

impl<T: Transport> Walk<'_, T> {
    fn tree(
        &mut self,
        name: ImageName,
        manifest: RawManifest,
        depth: usize,
    ) -> BoxFuture<'_, Result<Tree, FetchError>> {
        async move {
            let left = self.left.checked_sub(1);
            self.left = left.ok_or_else(|| FetchError::TooMany { name: name.clone(), limit: MANIFESTS })?;
            let malformed = |source| FetchError::Malformed { name: name.clone(), source };
            match manifest.parse().map_err(malformed)? {
                Manifest::Image(image) => {
                    let blobs = std::iter::once(image.config).chain(image.layers).collect();
                    Ok(Tree { manifest, children: Vec::new(), blobs })
                }
                Manifest::Index(_) if depth == 0 => Err(FetchError::TooDeep { name, limit: INDEX_DEPTH }),
                Manifest::Index(index) => {
                    let mut children = Vec::with_capacity(index.manifests.len());
                    for child in index.manifests {
                        children.push(self.child(&name, child, depth - 1).await?);
                    }
                    Ok(Tree { manifest, children, blobs: Vec::new() })
                }
            }
        }
        .boxed()
    }

    async fn child(
        &mut self,
        parent: &ImageName,
        child: Descriptor,
        depth: usize,
    ) -> Result<Tree, FetchError> {
        let repository = parent.repository.clone();
        let name = ImageName { repository, reference: Reference::Digest(child.digest) };
        let manifest = self.client.get_manifest(&name.repository, &name.reference).await;
        let manifest = manifest.map_err(|source| FetchError::Manifest { name: name.clone(), source })?;
        let actual = manifest.bytes().len() as u64;
        if actual != child.size {
            return Err(FetchError::Size { name, expected: child.size, actual });
        }
        self.tree(name, manifest, depth).await
    }
}
