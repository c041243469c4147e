//! An image with all that belongs to it.

use super::{
    plan::{PlanError, SavedImage},
    reached::{Reached, Tree},
};
use crate::{
    digest::Digest,
    manifest::{Descriptor, RawManifest},
};

/// An image or index with the manifests and blobs below it, each once.
#[derive(Clone, Debug)]
pub struct SavedTree {
    root: RawManifest,
    children: Vec<RawManifest>,
    blobs: Vec<Descriptor>,
}

impl SavedTree {
    /// Collects what belongs to `root`; `children` holds the manifests below it, in any order.
    ///
    /// Layers that are not to be distributed are left out.
    ///
    /// # Errors
    /// When manifests are missing, malformed, too many or contradictory.
    pub fn new(root: RawManifest, children: &[RawManifest]) -> Result<Self, PlanError> {
        let images = [SavedImage { manifest: root.clone(), names: Vec::new() }];
        let tree = Tree::new(&images, children);
        let reached = Reached::from(&images, &tree)?;
        let is_child = |manifest: &&RawManifest| manifest.digest() != root.digest();
        let children = reached.children_first.into_iter().filter(is_child).cloned().collect();
        Ok(Self { children, blobs: reached.blobs, root })
    }

    /// Returns the manifest that all the others are below of.
    pub const fn root(&self) -> &RawManifest {
        &self.root
    }

    /// Returns the manifests below the root, each behind those that it names.
    pub fn children(&self) -> &[RawManifest] {
        &self.children
    }

    /// Returns configurations and layers.
    pub fn blobs(&self) -> &[Descriptor] {
        &self.blobs
    }

    /// Returns the root's digest.
    pub const fn digest(&self) -> &Digest {
        self.root.digest()
    }
}
