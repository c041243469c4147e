//! A blob that is being written into a layout.

use std::{fs::File, path::PathBuf};

use tempfile::NamedTempFile;

use super::{LayoutWriteError, folder::durable};
use crate::sink::Durability;

/// A file in a layout that is to be a blob: it has another name until [`keep`](Self::keep). Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct NewBlob {
    pub(super) file: NamedTempFile,
    pub(super) path: PathBuf,
}

impl NewBlob {
    /// Returns the file, which has the blob's size and holds zeros at first.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the file the name of its blob, whose bytes the caller has verified. One that is there already is replaced.
    ///
    /// This blocks, with [`Durability::Machine`] until the bytes are on the disk.
    ///
    /// # Errors
    /// When that fails; there is no such blob then, unless there was before.
    pub fn keep(self, durability: Durability) -> Result<(), LayoutWriteError> {
        let Self { file, path } = self;
        let failed = |source| LayoutWriteError::Write { path: path.clone(), source };
        if durability == Durability::Machine {
            file.as_file().sync_data().map_err(failed)?;
        }
        file.persist(&path).map_err(|error| failed(error.error))?;
        durable(path.parent(), durability);
        Ok(())
    }
}
