//! What is to be added to a layout.

use super::index::REPOSITORY;
use crate::{
    manifest::{Descriptor, RawManifest},
    sink::{
        ArchiveName, listing,
        plan::{PlanError, SavedImage},
        reached::{Reached, Tree},
    },
};

/// Images that are to be added to a layout, with all that belongs to them but the contents of their blobs.
#[derive(Clone, Debug)]
pub struct LayoutAddition {
    /// The manifests, each behind those that it names.
    pub(super) manifests: Vec<RawManifest>,
    /// The entries of the layout's list of images.
    pub(super) entries: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
}

impl LayoutAddition {
    /// Collects what belongs to `images`; `children` holds the manifests that indexes among them name, in any order.
    ///
    /// Layers that are not to be distributed are left out.
    ///
    /// # Errors
    /// When manifests are missing, malformed, too many or contradictory.
    pub fn new(images: &[SavedImage], children: &[RawManifest]) -> Result<Self, PlanError> {
        let tree = Tree::new(images, children);
        let reached = Reached::from(images, &tree)?;
        Ok(Self {
            manifests: reached.children_first.into_iter().cloned().collect(),
            entries: images.iter().flat_map(entries).collect(),
            blobs: reached.blobs,
        })
    }

    /// Returns configurations and layers, each once.
    pub fn blobs(&self) -> &[Descriptor] {
        &self.blobs
    }
}

/// Lists an image's entries, with the repository that a tag alone does not tell.
fn entries(image: &SavedImage) -> Vec<Descriptor> {
    let mut entries = listing::index_entries(image);
    let repositories = image.names.iter().filter(|name| name.reference().is_some());
    for (entry, name) in entries.iter_mut().zip(repositories) {
        if let ArchiveName::Image { image, .. } = name {
            entry.annotations.insert(REPOSITORY.into(), image.repository.to_string());
        }
    }
    entries
}
