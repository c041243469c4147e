//! An OCI layout in a folder, new or added to.
//!
//! Blobs get their names when they are whole and verified, manifests after them, and the list of images comes last: so readers
//! see an image whole or not at all, and whoever breaks off leaves nothing but blobs that the next one need not fetch again.
//! Several processes may add to a layout at once: they change the list one after the other.
//!
//! Nothing is written through a link that leads out of the folder.
//!
//! See the [image layout specification](https://github.com/opencontainers/image-spec/blob/main/image-layout.md).

mod addition;
mod blob;
mod error;
mod folder;
mod index;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::Durability;
use crate::{
    blocking::{self, Stop},
    manifest::Descriptor,
};
#[cfg(test)]
mod tests;

pub use addition::LayoutAddition;
pub use blob::NewBlob;
pub use error::LayoutWriteError;
use folder::Folder;

/// A folder that is an OCI layout, or becomes one with the first image that is added.
#[derive(Clone, Debug)]
pub struct LayoutFolder {
    folder: Arc<Folder>,
    durability: Durability,
}

impl LayoutFolder {
    /// Opens the layout at `path`, or makes a folder for one, with those above it.
    ///
    /// # Errors
    /// When something else is there, or the folder cannot be made.
    ///
    /// # Cancel safety
    /// A folder that was made is removed again unless something was added.
    pub async fn open(path: impl Into<PathBuf>, durability: Durability) -> Result<Self, LayoutWriteError> {
        let path = path.into();
        let folder = run(path.clone(), move |_| Folder::open(path)).await?;
        Ok(Self { folder: Arc::new(folder), durability })
    }

    /// Returns the folder's path as it was given.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// Returns those of `blobs` that the layout lacks, or holds with other bytes than it should: what is there is read whole.
    ///
    /// # Errors
    /// When the folder cannot be read.
    ///
    /// # Cancel safety
    /// Has no effect, so that it may be dropped.
    pub async fn missing(&self, blobs: Vec<Descriptor>) -> Result<Vec<Descriptor>, LayoutWriteError> {
        let folder = self.folder.clone();
        run(self.path().into(), move |stop| folder.missing(blobs, stop)).await
    }

    /// Makes a file for a blob.
    ///
    /// This blocks for as long as it takes to make a file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self, blob: &Descriptor) -> Result<NewBlob, LayoutWriteError> {
        self.folder.create(blob)
    }

    /// Adds images whose blobs are all there: their manifests, and at last the entries in the list of images, which replace
    /// those of the same names.
    ///
    /// # Errors
    /// When a blob is missing, or the folder cannot be written to. The list is what it was before.
    ///
    /// # Cancel safety
    /// The work goes on when this is dropped.
    pub async fn add(&self, addition: LayoutAddition) -> Result<(), LayoutWriteError> {
        let (folder, durability) = (self.folder.clone(), self.durability);
        run(self.path().into(), move |_| folder.add(&addition, durability)).await
    }
}

async fn run<T: Send + 'static>(
    path: PathBuf,
    job: impl FnOnce(&Stop) -> Result<T, LayoutWriteError> + Send + 'static,
) -> Result<T, LayoutWriteError> {
    let done = blocking::run(job).await;
    done.map_err(|source| LayoutWriteError::Broken { path, source })?
}
