//! The manifests of an image or index.

use std::collections::HashSet;

use futures::{FutureExt as _, future::BoxFuture};

use super::error::RemoteError;
use crate::{
    manifest::{
        Descriptor, INDEX_DEPTH_LIMIT, IndexManifest, MANIFESTS_LIMIT, Manifest, ManifestError, Platform,
        RawManifest,
    },
    name::{ImageName, Reference, RepositoryName, Tag},
    platform,
    registry::Client,
    transport::Transport,
};

/// A manifest with what it names.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The manifest's bytes.
    pub manifest: RawManifest,
    /// The children of an index, in its order.
    pub children: Vec<Self>,
    /// The configuration and layers of an image.
    pub blobs: Vec<Descriptor>,
    /// What refers to it, to its children or to another referrer, where that was asked for with
    /// [`fetch_referrers`](super::fetch_referrers).
    pub referrers: Vec<AttachedTree>,
}

/// What refers to another manifest.
#[derive(Clone, Debug)]
pub struct AttachedTree {
    /// The tag that leads to it, where it has no subject, as with cosign.
    pub tag: Option<Tag>,
    /// The referrer.
    pub tree: Tree,
}

impl AttachedTree {
    /// Returns what it is called in a repository: its tag, else its digest.
    pub fn name_in(&self, repository: &RepositoryName) -> ImageName {
        ImageName::of_referrer(repository, self.tag.clone(), self.tree.manifest.digest().clone())
    }
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

    fn collect(&self, take: &mut dyn FnMut(&Descriptor)) {
        self.children.iter().for_each(|child| child.collect(take));
        self.blobs.iter().for_each(&mut *take);
        self.referrers.iter().for_each(|attached| attached.tree.collect(take));
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
pub async fn fetch_tree<T: Transport>(client: &Client<T>, name: &ImageName) -> Result<Tree, RemoteError> {
    Walk::new(client, None).root(name.clone()).await
}

/// Reads trees, which together have no more manifests than one may have.
pub(super) struct Walk<'a, T> {
    client: &'a Client<T>,
    only: Option<&'a Platform>,
    /// The image or index that is being read.
    root: Option<ImageName>,
    left: usize,
}

impl<'a, T: Transport> Walk<'a, T> {
    /// Takes of each index only the image of the platform `only`, if there is one.
    pub(super) const fn new(client: &'a Client<T>, only: Option<&'a Platform>) -> Self {
        Self { client, only, root: None, left: MANIFESTS_LIMIT }
    }

    pub(super) async fn root(&mut self, name: ImageName) -> Result<Tree, RemoteError> {
        self.root = Some(name.clone());
        let manifest = self.get(&name).await?;
        self.tree(name, manifest, INDEX_DEPTH_LIMIT).await
    }

    async fn get(&mut self, name: &ImageName) -> Result<RawManifest, RemoteError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let name = self.root.as_ref().unwrap_or(name).clone();
            RemoteError::TooMany { url: url(self.client, &name), name, limit: MANIFESTS_LIMIT }
        })?;
        let manifest = self.client.get_manifest(&name.repository, &name.reference).await;
        manifest.map_err(|source| RemoteError::Manifest { name: name.clone(), source })
    }

    fn tree(
        &mut self,
        name: ImageName,
        manifest: RawManifest,
        depth: usize,
    ) -> BoxFuture<'_, Result<Tree, RemoteError>> {
        async move {
            let client = self.client;
            let malformed = |source: ManifestError| {
                let (name, url) = (name.clone(), url(client, &name));
                RemoteError::Malformed { name, url, source: source.into() }
            };
            match manifest.parse().map_err(malformed)? {
                Manifest::Image(image) => {
                    let blobs = std::iter::once(image.config).chain(image.layers).collect();
                    Ok(Tree { manifest, children: Vec::new(), blobs, referrers: Vec::new() })
                }
                Manifest::Index(_) if depth == 0 => {
                    let url = url(client, &name);
                    Err(RemoteError::TooDeep { name, url, limit: INDEX_DEPTH_LIMIT })
                }
                Manifest::Index(index) => match self.only {
                    Some(only) => self.child(&name, choose(&index, only)?, depth - 1).await,
                    None => self.index(&name, manifest, index, depth - 1).await,
                },
            }
        }
        .boxed()
    }

    async fn index(
        &mut self,
        name: &ImageName,
        manifest: RawManifest,
        index: IndexManifest,
        depth: usize,
    ) -> Result<Tree, RemoteError> {
        let mut children = Vec::with_capacity(index.manifests.len());
        for child in index.manifests {
            children.push(self.child(name, child, depth).await?);
        }
        Ok(Tree { manifest, children, blobs: Vec::new(), referrers: Vec::new() })
    }

    async fn child(
        &mut self,
        parent: &ImageName,
        child: Descriptor,
        depth: usize,
    ) -> Result<Tree, RemoteError> {
        let repository = parent.repository.clone();
        let name = ImageName { repository, reference: Reference::Digest(child.digest) };
        let manifest = self.get(&name).await?;
        let actual = manifest.bytes().len() as u64;
        if actual != child.size {
            let url = url(self.client, &name);
            return Err(RemoteError::Size { name, url, expected: child.size, actual });
        }
        self.tree(name, manifest, depth).await
    }
}

/// Returns where a manifest is, for errors.
pub(super) fn url(client: &Client<impl Transport>, name: &ImageName) -> String {
    client.transport().url(&format!("/v2/{}/manifests/{}", name.repository, name.reference))
}

/// Chooses the child of a platform, else an index in the index that does not say what it is of.
fn choose(index: &IndexManifest, only: &Platform) -> Result<Descriptor, RemoteError> {
    let named = index.manifests.iter().filter_map(|child| Some((child.platform.clone()?, child)));
    let nested =
        || index.manifests.iter().find(|child| child.platform.is_none() && child.media_type.is_index());
    let chosen = platform::choose(only, named.clone()).or_else(nested).cloned();
    chosen.ok_or_else(|| RemoteError::NoPlatform {
        wanted: only.clone(),
        known: named.map(|(platform, _)| platform.to_string()).collect(),
    })
}
