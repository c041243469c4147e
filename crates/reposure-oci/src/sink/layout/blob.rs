//! A blob that is being written into a layout.

use std::{fs::File, path::PathBuf, sync::Arc};

use super::{LayoutWriteError, folder::durable};
use crate::sink::{Durability, Record, unfinished::Unfinished};

/// A file in a layout that is to be a blob: it has another name until [`keep`](Self::keep). Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct NewBlob {
    pub(super) file: Unfinished,
    pub(super) path: PathBuf,
}

impl NewBlob {
    /// Returns the file, which has the blob's size and holds zeros at first, but where its [record](Self::record) says otherwise.
    pub fn file(&self) -> &File {
        self.file.file()
    }

    /// Returns what is in the file, and where to note what is written; none where no other process could go on with it.
    pub fn record(&self) -> Option<Arc<Record>> {
        self.file.record()
    }

    /// Leaves the file for another process to go on with, and tells whether it is left: it is if anything was noted of it.
    pub fn leave(self) -> bool {
        self.file.leave().is_some()
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
        file.close().map_err(failed)?;
        if durability == Durability::Machine {
            file.file().sync_data().map_err(failed)?;
        }
        file.persist(&path).map_err(failed)?;
        durable(path.parent(), durability);
        Ok(())
    }
}
