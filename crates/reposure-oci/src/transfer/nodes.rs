//! The manifests of an artifact, children before their index.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    digest::Digest,
    image::{Artifact, Image, Index, Layer, SourceError},
    manifest::{Descriptor, RawManifest},
};

/// A manifest to be put, once what it names is there.
#[derive(Debug)]
pub enum Node {
    /// Of an image.
    Image(Arc<dyn Image>),
    /// An index.
    Index(Arc<dyn Index>),
}

impl Node {
    /// Returns the manifest's bytes; prepares every part first where the manifest is made here.
    ///
    /// # Errors
    /// As [`Image::manifest`].
    ///
    /// # Cancel safety
    /// As [`Layer::prepare`].
    pub async fn manifest(&self) -> Result<RawManifest, SourceError> {
        match self {
            Self::Image(image) => image.manifest().await,
            Self::Index(index) => Ok(index.manifest().clone()),
        }
    }
}

/// Lists an artifact's manifests; the root is the last one.
pub fn walk(artifact: &Artifact) -> Vec<Node> {
    let mut nodes = Vec::new();
    collect(artifact, &mut nodes);
    nodes
}

/// The depth is bounded where an index is read.
fn collect(artifact: &Artifact, nodes: &mut Vec<Node>) {
    match artifact {
        Artifact::Image(image) => nodes.push(Node::Image(image.clone())),
        Artifact::Index(index) => {
            for child in index.children() {
                collect(child, nodes);
            }
            nodes.push(Node::Index(index.clone()));
        }
    }
}

/// Finds a blob that is said to have two sizes, by the images whose blobs are known. One of them is a lie.
pub(super) fn of_two_sizes(nodes: &[Node]) -> Option<Digest> {
    let mut sizes = HashMap::new();
    all_parts(nodes).filter_map(|part| part.ready()).find_map(|blob| {
        let Descriptor { digest, size, .. } = blob.descriptor();
        let before = sizes.insert(digest.clone(), *size);
        before.is_some_and(|before| before != *size).then(|| digest.clone())
    })
}

fn all_parts(nodes: &[Node]) -> impl Iterator<Item = &Arc<dyn Layer>> {
    let images = nodes.iter().filter_map(|node| match node {
        Node::Image(image) => Some(image.parts()),
        Node::Index(_) => None,
    });
    images.flatten()
}

/// Lists the parts of all images, the largest first: they take longest. Each blob of a known digest is there once, and so is
/// each part that is not ready, which several images or one image several times may have.
pub fn parts(nodes: &[Node]) -> Vec<Arc<dyn Layer>> {
    let (mut seen, mut unready) = (HashSet::new(), HashSet::new());
    let mut parts: Vec<Arc<dyn Layer>> = all_parts(nodes)
        .filter(|part| match part.ready() {
            Some(blob) => seen.insert(blob.descriptor().digest.clone()),
            None => unready.insert(Arc::as_ptr(part).addr()),
        })
        .cloned()
        .collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.ready().map_or(u64::MAX, |blob| blob.descriptor().size)));
    parts
}
