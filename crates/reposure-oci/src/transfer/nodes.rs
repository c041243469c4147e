//! The manifests of an artifact, children before their index.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    digest::Digest,
    image::{Artifact, Layer},
    manifest::Descriptor,
};

/// Lists an artifact with all that is below it, children before their index; the root is the last one. Each is a manifest to be put,
/// once what it names is there.
pub fn walk(artifact: &Artifact) -> Vec<Artifact> {
    let mut nodes = Vec::new();
    collect(artifact, &mut nodes);
    nodes
}

/// The depth is bounded where an index is read.
fn collect(artifact: &Artifact, nodes: &mut Vec<Artifact>) {
    if let Artifact::Index(index) = artifact {
        index.children().iter().for_each(|child| collect(child, nodes));
    }
    nodes.push(artifact.clone());
}

/// Finds a blob that is said to have two sizes, by the images whose blobs are known. One of them is a lie.
pub(super) fn of_two_sizes(nodes: &[Artifact]) -> Option<Digest> {
    let mut sizes = HashMap::new();
    all_parts(nodes).filter_map(|part| part.ready()).find_map(|blob| {
        let Descriptor { digest, size, .. } = blob.descriptor();
        let before = sizes.insert(digest.clone(), *size);
        before.is_some_and(|before| before != *size).then(|| digest.clone())
    })
}

fn all_parts(nodes: &[Artifact]) -> impl Iterator<Item = &Arc<dyn Layer>> {
    let images = nodes.iter().filter_map(|node| match node {
        Artifact::Image(image) => Some(image.parts()),
        Artifact::Index(_) => None,
    });
    images.flatten()
}

/// Lists the parts of all images, the largest first: they take longest. Each blob of a known digest is there once, and so is
/// each part that is not ready, which several images or one image several times may have.
pub fn parts(nodes: &[Artifact]) -> Vec<Arc<dyn Layer>> {
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
