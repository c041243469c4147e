//! What belongs to images: their manifests and blobs, each once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::plan::{PlanError, SavedImage};
use crate::{
    digest::Digest,
    manifest::{Descriptor, INDEX_DEPTH_LIMIT, MANIFESTS_LIMIT, Manifest, RawManifest},
};

/// The manifests that an archive is made of.
pub(super) struct Tree<'a>(HashMap<&'a Digest, &'a RawManifest>);

impl<'a> Tree<'a> {
    pub(super) fn new(images: &'a [SavedImage], children: &'a [RawManifest]) -> Self {
        let all = images.iter().map(|image| &image.manifest).chain(children);
        Self(all.map(|manifest| (manifest.digest(), manifest)).collect())
    }

    pub(super) fn get(&self, digest: &Digest) -> Result<&'a RawManifest, PlanError> {
        self.0.get(digest).copied().ok_or_else(|| PlanError::MissingChild(digest.clone()))
    }
}

/// Parses a manifest.
pub(super) fn parse(manifest: &RawManifest) -> Result<Manifest, PlanError> {
    manifest.parse().map_err(|source| PlanError::Manifest { digest: manifest.digest().clone(), source })
}

/// What is reached from the images, each once, in the order in which it is reached.
///
/// Layers that are not to be distributed are left out.
#[derive(Default)]
pub(super) struct Reached<'a> {
    seen: BTreeSet<Digest>,
    /// The manifests, in the order in which they are reached.
    pub(super) manifests: Vec<&'a RawManifest>,
    /// The manifests, each behind those that it names.
    pub(super) children_first: Vec<&'a RawManifest>,
    /// The configurations and layers.
    pub(super) blobs: Vec<Descriptor>,
    sizes: BTreeMap<Digest, u64>,
}

impl<'a> Reached<'a> {
    /// Collects what belongs to `images`.
    pub(super) fn from(images: &'a [SavedImage], tree: &Tree<'a>) -> Result<Self, PlanError> {
        let mut reached = Self::default();
        images.iter().try_for_each(|image| reached.visit(tree, &image.manifest, 0))?;
        Ok(reached)
    }

    /// Lists the digests of all manifests and blobs.
    pub(super) fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.seen.iter().chain(self.sizes.keys())
    }

    fn visit(&mut self, tree: &Tree<'a>, manifest: &'a RawManifest, depth: usize) -> Result<(), PlanError> {
        if depth > INDEX_DEPTH_LIMIT {
            return Err(PlanError::TooDeep(manifest.digest().clone()));
        }
        if !self.seen.insert(manifest.digest().clone()) {
            return Ok(());
        }
        self.manifests.push(manifest);
        if self.manifests.len() > MANIFESTS_LIMIT {
            return Err(PlanError::TooManyManifests);
        }
        match parse(manifest)? {
            Manifest::Image(image) => {
                std::iter::once(image.config).chain(image.layers).try_for_each(|blob| self.blob(blob))?;
            }
            Manifest::Index(index) => {
                let children = index.manifests.iter();
                children
                    .map(|child| tree.get(&child.digest))
                    .try_for_each(|child| self.visit(tree, child?, depth + 1))?;
            }
        }
        self.children_first.push(manifest);
        Ok(())
    }

    fn blob(&mut self, descriptor: Descriptor) -> Result<(), PlanError> {
        if descriptor.media_type.is_foreign() {
            return Ok(());
        }
        match self.sizes.insert(descriptor.digest.clone(), descriptor.size) {
            None => self.blobs.push(descriptor),
            Some(size) if size == descriptor.size => {}
            Some(_) => return Err(PlanError::TwoSizes(descriptor.digest)),
        }
        Ok(())
    }
}
