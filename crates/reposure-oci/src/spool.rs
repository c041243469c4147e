//! Bounded temporary files, for layers that are compressed here and archives that are decompressed here.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A folder for temporary files, and how many bytes they may hold together.
///
/// The files have no names: they vanish with the last image that uses them, also when the process is killed. Clones share
/// the limit.
#[derive(Clone, Debug)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: Arc<PathBuf>,
    limit: u64,
    used: AtomicU64,
}

/// The spool is full. This comes as the source of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("the temporary files in {folder} would have more than {limit} bytes together")]
pub struct SpoolFull {
    /// The folder.
    pub folder: PathBuf,
    /// How many bytes the files may hold together.
    pub limit: u64,
}

/// No temporary file can be made. This comes as the source of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("cannot make a temporary file in {folder}")]
pub struct CannotCreate {
    /// The folder.
    pub folder: PathBuf,
    /// What happened.
    #[source]
    pub source: io::Error,
}

impl Spool {
    /// Takes an existing folder, and how many bytes the files in it may hold together.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        let folder = Arc::new(folder.into());
        Self { shared: Arc::new(Shared { folder, limit, used: AtomicU64::new(0) }) }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Returns how many bytes the files hold now.
    pub fn used(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// Makes an empty file.
    pub(crate) fn create(&self) -> io::Result<SpoolWriter> {
        let file = tempfile::tempfile_in(self.folder()).map_err(|source| {
            io::Error::new(source.kind(), CannotCreate { folder: self.folder().into(), source })
        })?;
        Ok(SpoolWriter { file, reserved: Reservation { shared: self.shared.clone(), size: 0 } })
    }
}

/// Room in a spool, given back when it is dropped.
#[derive(Debug)]
struct Reservation {
    shared: Arc<Shared>,
    size: u64,
}

impl Reservation {
    fn grow(&mut self, count: u64) -> Result<(), SpoolFull> {
        let Shared { limit, folder, used } = self.shared.as_ref();
        let fits = |used: u64| used.checked_add(count).filter(|sum| sum <= limit);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| SpoolFull { folder: folder.as_ref().clone(), limit: *limit })?;
        self.size += count;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.used.fetch_sub(self.size, Ordering::Relaxed);
    }
}

/// A temporary file that is being written.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    file: File,
    reserved: Reservation,
}

/// A temporary file that is complete.
#[derive(Debug)]
pub(crate) struct Spooled {
    /// The file.
    pub(crate) file: Arc<File>,
    /// The spool's folder, for error messages.
    pub(crate) folder: Arc<PathBuf>,
    /// The room that the file takes, to be kept for as long as the file.
    pub(crate) room: Arc<Room>,
}

/// The room that a complete file takes.
#[derive(Debug)]
pub(crate) struct Room {
    _reserved: Reservation,
}

impl SpoolWriter {
    /// Ends writing.
    pub(crate) fn finish(self) -> Spooled {
        let folder = self.reserved.shared.folder.clone();
        let file = Arc::new(self.file);
        Spooled { file, folder, room: Arc::new(Room { _reserved: self.reserved }) }
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reserved.grow(bytes.len() as u64).map_err(io::Error::other)?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_share_one_limit_and_give_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path(), 10);
        let mut first = spool.create().unwrap();
        first.write_all(b"123456").unwrap();
        let mut second = spool.clone().create().unwrap();
        second.write_all(b"1234").unwrap();
        let error = second.write_all(b"5").unwrap_err();
        assert!(error.to_string().contains("more than 10 bytes"), "{error}");

        drop(second);
        assert_eq!(spool.used(), 6);
        let spooled = first.finish();
        let room = spooled.room.clone();
        drop(spooled);
        assert_eq!(spool.used(), 6);
        drop(room);
        assert_eq!(spool.used(), 0);
    }

    #[test]
    fn the_files_have_no_names() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Spool::new(folder.path(), 10).create().unwrap();
        file.write_all(b"1").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
