//! The manifests of an image or index.

use std::{collections::HashSet, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use reposure_oci::{Descriptor, ImageName, Manifest, RawManifest, Reference, Tag, registry};

use super::PullError;
use crate::session::Session;

/// How deep indexes may be nested: the ones that people make have one level.
pub(super) const INDEX_DEPTH: usize = 4;
/// How many manifests an image may consist of: some hundred platforms with an attestation each. They are held in memory.
pub(super) const MANIFESTS: usize = 1024;

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
/// When one of them cannot be had or is malformed.
pub async fn fetch_tree(session: &Arc<Session>, name: &ImageName) -> Result<Tree, PullError> {
    let client = registry::Client::new(session.clone());
    let mut left = MANIFESTS;
    fetch(&client, name.clone(), INDEX_DEPTH, &mut left).await
}

pub(super) type Client = registry::Client<Arc<Session>>;

pub(super) fn fetch<'a>(
    client: &'a Client,
    name: ImageName,
    depth: usize,
    left: &'a mut usize,
) -> BoxFuture<'a, Result<Tree, PullError>> {
    async move {
        *left =
            left.checked_sub(1).ok_or_else(|| PullError::TooMany { name: name.clone(), limit: MANIFESTS })?;
        let manifest = client
            .get_manifest(&name.repository, &name.reference)
            .await
            .map_err(|source| PullError::Manifest { name: name.clone(), source })?;
        let parsed =
            manifest.parse().map_err(|source| PullError::Malformed { name: name.clone(), source })?;
        match parsed {
            Manifest::Image(image) => {
                let blobs = std::iter::once(image.config).chain(image.layers).collect();
                Ok(Tree { manifest, children: Vec::new(), blobs, referrers: Vec::new() })
            }
            Manifest::Index(_) if depth == 0 => Err(PullError::TooDeep { name, limit: INDEX_DEPTH }),
            Manifest::Index(index) => {
                let mut children = Vec::with_capacity(index.manifests.len());
                for child in index.manifests {
                    let reference = Reference::Digest(child.digest);
                    let name = ImageName { repository: name.repository.clone(), reference };
                    children.push(fetch(client, name, depth - 1, left).await?);
                }
                Ok(Tree { manifest, children, blobs: Vec::new(), referrers: Vec::new() })
            }
        }
    }
    .boxed()
}
