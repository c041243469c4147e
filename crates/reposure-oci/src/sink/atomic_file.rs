//! A file that gets its name when it is complete.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::NamedTempFile;
use tokio::task::JoinError;

use super::{
    Record,
    unfinished::{Unfinished, sweep_beside},
};
use crate::digest::Digest;

/// The permission bits that are asked for; the process's umask takes from them, as for any new file.
const MODE: u32 = 0o666;

/// The permission bits of a file that replaces another, until it does.
const OWN_MODE: u32 = 0o600;

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AtomicFileError {
    /// What has the name is no file, but a folder, a pipe or a device, which no file may replace.
    #[error("{0} is there already, and no file")]
    NotAFile(PathBuf),
    /// The path names no file.
    #[error("{0} names no file")]
    NoName(PathBuf),
    /// The temporary file beside the target cannot be made.
    #[error("cannot make a file in {folder}")]
    Create {
        /// The folder.
        folder: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The file cannot be brought to the disk, or get its name.
    #[error("cannot complete {path}")]
    Commit {
        /// The target.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The thread that completes the file ended early.
    #[error("the work on {path} was broken off")]
    Broken {
        /// The target.
        path: PathBuf,
        /// What happened.
        #[source]
        source: JoinError,
    },
}

/// Which end a completed file outlives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// That of this program: the bytes are in the system's cache, and it brings them to the disk by and by.
    #[default]
    Program,
    /// That of the machine, as by a power cut: the bytes are on the disk before the file gets its name.
    Machine,
}

/// A file that is written beside its target and takes its name in [`commit`](Self::commit). Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    file: Unfinished,
    target: PathBuf,
    /// Those of what it replaces.
    permissions: Option<Permissions>,
}

impl AtomicFile {
    /// Makes a file that will be `target`. A symbolic link stays, and what it leads to is replaced by a file
    /// of the same permissions.
    ///
    /// # Errors
    /// When the target is there but no file, or no file can be made beside it.
    pub fn create(target: impl AsRef<Path>) -> Result<Self, AtomicFileError> {
        Self::make(target.as_ref(), Unfinished::own)
    }

    /// Goes on with what another process has left of a file that was to be `target`, with `size` bytes of content that this digest
    /// tells from others, or makes one: see [`record`](Self::record). This blocks, for as long as it takes to look into the folder.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn resume(target: impl AsRef<Path>, content: &Digest, size: u64) -> Result<Self, AtomicFileError> {
        Self::make(target.as_ref(), |folder, name| {
            sweep_beside(folder, name, content);
            Unfinished::resume(folder, name, content, size)
        })
    }

    fn make(
        target: &Path,
        make: impl FnOnce(&Path, &OsStr) -> io::Result<Unfinished>,
    ) -> Result<Self, AtomicFileError> {
        let target = target.canonicalize().unwrap_or_else(|_| target.into());
        let replaced = target.metadata().ok();
        if replaced.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return Err(AtomicFileError::NotAFile(target));
        }
        let name = target.file_name().ok_or_else(|| AtomicFileError::NoName(target.clone()))?;
        let folder = folder(&target);
        let file =
            make(folder, name).map_err(|source| AtomicFileError::Create { folder: folder.into(), source })?;
        let permissions = replaced.map(|replaced| replaced.permissions());
        if permissions.is_some() {
            // Who may not read the old file is not to read the new one; who made it may open it again, to go on with it or to remove it.
            set_permissions(file.file(), Permissions::from_mode(OWN_MODE))
                .map_err(|source| AtomicFileError::Create { folder: folder.into(), source })?;
        }
        Ok(Self { file, target, permissions })
    }

    /// Returns the file.
    pub fn file(&self) -> &File {
        self.file.file()
    }

    /// Returns what is in the file, and where to note what is written; none where no other process could go on with it.
    pub fn record(&self) -> Option<Arc<Record>> {
        self.file.record()
    }

    /// Leaves the file for another process to go on with, if anything was noted of it, and returns where it is then.
    pub fn leave(self) -> Option<PathBuf> {
        self.file.leave()
    }

    /// Returns the path that the file will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When that fails; the target is what it was before.
    ///
    /// # Cancel safety
    /// The work goes on when this is dropped.
    pub async fn commit(self, durability: Durability) -> Result<(), AtomicFileError> {
        let path = self.target.clone();
        let done = tokio::task::spawn_blocking(move || self.commit_now(durability)).await;
        done.map_err(|source| AtomicFileError::Broken { path, source })?
    }

    fn commit_now(self, durability: Durability) -> Result<(), AtomicFileError> {
        let Self { file, target, permissions } = self;
        let failed = |source| AtomicFileError::Commit { path: target.clone(), source };
        file.close().map_err(failed)?;
        if let Some(permissions) = permissions {
            set_permissions(file.file(), permissions).map_err(failed)?;
        }
        if durability == Durability::Machine {
            file.file().sync_all().map_err(failed)?;
        }
        file.persist(&target).map_err(failed)?;
        if durability == Durability::Machine {
            // The name is on the disk when the folder is. Not every file system can do that, and the file is complete anyway.
            let _ = File::open(folder(&target)).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

/// Sets permissions, where the file system has any.
fn set_permissions(file: &File, permissions: Permissions) -> io::Result<()> {
    let set = file.set_permissions(permissions);
    set.or_else(|error| if error.kind() == io::ErrorKind::Unsupported { Ok(()) } else { Err(error) })
}

/// Makes a file in `folder` that is to be called `name` in the end; it is removed unless it is.
pub(super) fn temporary(folder: &Path, name: impl AsRef<OsStr>) -> io::Result<NamedTempFile> {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    let permissions = Permissions::from_mode(MODE);
    tempfile::Builder::new().prefix(&prefix).permissions(permissions).tempfile_in(folder)
}

/// Tells whether a file was made by [`temporary`] to be called `name`.
pub(super) fn is_temporary(file: &OsStr, name: &str) -> bool {
    file.to_str().and_then(|file| file.strip_prefix('.')).is_some_and(|file| file.starts_with(name))
}

fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn keeps_the_permissions_of_what_it_replaces() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::fs::write(&target, "old").unwrap();
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
        AtomicFile::create(&target).unwrap().commit(Durability::Program).await.unwrap();
        assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(target.metadata().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn what_is_left_of_a_file_that_may_not_be_written_is_gone_on_with() {
        use std::os::unix::{fs::FileExt as _, fs::PermissionsExt as _};
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::fs::write(&target, "old").unwrap();
        std::fs::set_permissions(&target, Permissions::from_mode(0o444)).unwrap();
        let resume = || AtomicFile::resume(&target, &Digest::sha256_of("new"), 8 << 20).unwrap();
        let file = resume();
        file.file().write_all_at(b"new", 0).unwrap();
        file.record().unwrap().note(&(0..3));
        let left = file.leave().unwrap();
        assert_eq!(left.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let file = resume();
        assert_eq!(file.record().unwrap().found().first(), Some(&(0..3)));
        file.commit(Durability::Program).await.unwrap();
        assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(names(folder.path()), ["target"]);
    }

    #[tokio::test]
    async fn gets_its_name_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("image.tar");
        for durability in [Durability::Program, Durability::Machine] {
            drop(std::fs::remove_file(&target));
            let file = AtomicFile::create(&target).unwrap();
            file.file().write_all(b"content").unwrap();
            assert!(!target.exists());
            file.commit(durability).await.unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), b"content");
            assert_eq!(names(folder.path()), ["image.tar"]);
        }

        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&plain));
    }

    #[test]
    fn leaves_nothing_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("image.tar");
        std::fs::write(&target, "old").unwrap();
        let file = AtomicFile::create(&target).unwrap();
        file.file().write_all(b"new").unwrap();
        drop(file);
        assert_eq!(names(folder.path()), ["image.tar"]);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
    }

    #[tokio::test]
    async fn follows_links_and_refuses_what_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        let file = AtomicFile::create(&link).unwrap();
        file.file().write_all(b"new").unwrap();
        file.commit(Durability::default()).await.unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert!(link.is_symlink());
        assert!(matches!(AtomicFile::create(folder.path()), Err(AtomicFileError::NotAFile(_))));
        assert!(matches!(AtomicFile::create("/dev/null"), Err(AtomicFileError::NotAFile(_))));
        let nowhere = folder.path().join("no/file");
        assert!(matches!(AtomicFile::create(nowhere), Err(AtomicFileError::Create { .. })));
    }
}
