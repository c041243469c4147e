//! A file under another name than its own until it is whole.
//!
//! A large one has a name that another process finds: if this one is killed, or loses the link for good, the next that wants the same
//! bytes in the same place goes on with it. There is one for each name at most, none is older than a day when the next pull into
//! its folder has begun, and none is larger than what it was to become.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::{fs::OFlags, process::geteuid};
use tempfile::NamedTempFile;

use super::{Record, atomic_file::temporary};
use crate::digest::Digest;

/// What is smaller, in bytes, is fetched anew: within a second on most links.
const SMALLEST: u64 = 4 << 20;
/// How old such a file may be. A pull that is to go on is begun again soon, and a registry may have lost what it had.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// How many characters of a digest are in its name.
const HEX: usize = 16;
/// What its name ends with.
const SUFFIX: &str = ".reposure";

/// A file that is not whole yet. Dropped, it is removed.
#[derive(Debug)]
pub(super) enum Unfinished {
    /// One of this process alone.
    Own(NamedTempFile),
    /// One that another process may go on with.
    Shared(Partial),
}

/// A file with notes of what is in it, which is locked against other processes.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    record: Arc<Record>,
    /// Whether the file is to be removed when this is dropped.
    goes: bool,
}

impl Unfinished {
    /// Makes a file that is of one process alone, and to be called `name`.
    pub(super) fn own(folder: &Path, name: &OsStr) -> io::Result<Self> {
        temporary(folder, name).map(Self::Own)
    }

    /// Goes on with the file that another process has left on its way to be `name` with the content of this digest, or begins one.
    /// If another process has it now, the file is of this one alone. This blocks.
    pub(super) fn resume(folder: &Path, name: &OsStr, content: &Digest, size: u64) -> io::Result<Self> {
        if size < SMALLEST {
            return Self::own(folder, name);
        }
        match Partial::open(&folder.join(partial_name(name, content)), size) {
            Ok(partial) => Ok(Self::Shared(partial)),
            Err(error) => {
                tracing::debug!(%error, "another process could not go on with this file");
                Self::own(folder, name)
            }
        }
    }

    pub(super) fn file(&self) -> &File {
        match self {
            Self::Own(file) => file.as_file(),
            Self::Shared(partial) => &partial.file,
        }
    }

    /// Returns what is in it, where another process may go on with it.
    pub(super) fn record(&self) -> Option<Arc<Record>> {
        match self {
            Self::Own(_) => None,
            Self::Shared(partial) => Some(partial.record.clone()),
        }
    }

    /// Takes the notes off, so that it holds nothing but what it is to become. This blocks.
    pub(super) fn close(&self) -> io::Result<()> {
        match self {
            Self::Own(_) => Ok(()),
            Self::Shared(partial) => partial.record.close(),
        }
    }

    /// Gives it its name; it is [closed](Self::close) before. This blocks.
    pub(super) fn persist(self, path: &Path) -> io::Result<()> {
        self.close()?;
        match self {
            Self::Own(file) => file.persist(path).map(drop).map_err(|error| error.error),
            Self::Shared(mut partial) => {
                fs::rename(&partial.path, path)?;
                partial.goes = false;
                Ok(())
            }
        }
    }

    /// Leaves it for another process to go on with, where that is worth while, and returns where it is then.
    pub(super) fn leave(self) -> Option<PathBuf> {
        match self {
            Self::Shared(mut partial) if partial.record.is_worth_keeping() => {
                partial.goes = false;
                Some(partial.path.clone())
            }
            _ => None,
        }
    }
}

impl Partial {
    fn open(path: &Path, size: u64) -> io::Result<Self> {
        let file = open(OpenOptions::new().create(true).truncate(false), path)?;
        file.try_lock()?;
        // Who held it until now may have given it its name, or removed it.
        let (found, opened) = (fs::symlink_metadata(path)?, file.metadata()?);
        let is_same = (found.dev(), found.ino()) == (opened.dev(), opened.ino());
        // Others could go on writing to what we have verified.
        let is_ours = opened.is_file() && opened.nlink() == 1 && opened.uid() == geteuid().as_raw();
        if !(is_same && is_ours) {
            return Err(io::Error::other("the file is another one's"));
        }
        if is_old(&opened) {
            file.set_len(0)?;
        }
        let record = Arc::new(Record::open(file.try_clone()?, size)?);
        Ok(Self { file, path: path.into(), record, goes: true })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.goes {
            // It is locked still, so that nobody else has begun to go on with it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens a file to be read and written, and follows no link.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    // It fits: such flags are small numbers on every system.
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    options.read(true).write(true).custom_flags(flags).open(path)
}

fn partial_name(name: &OsStr, content: &Digest) -> OsString {
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(".");
    partial.push(&content.hex()[..HEX]);
    partial.push(SUFFIX);
    partial
}

/// Returns the name that a file is on its way to, if this is the name of one.
fn name_in(partial: &OsStr) -> Option<&[u8]> {
    let rest = partial.as_bytes().strip_prefix(b".")?.strip_suffix(SUFFIX.as_bytes())?;
    let (name, hex) = rest.split_at_checked(rest.len().checked_sub(HEX)?)?;
    hex.iter().all(u8::is_ascii_hexdigit).then_some(name)?.strip_suffix(b".")
}

/// Removes what nobody will go on with: what is old, and what was to be `name` with another content.
pub(super) fn sweep_beside(folder: &Path, name: &OsStr, content: &Digest) {
    let own = partial_name(name, content);
    sweep_those(folder, |file, becomes| file != own && becomes == name.as_bytes());
}

/// Removes what nobody will go on with, since it is old.
pub(super) fn sweep(folder: &Path) {
    sweep_those(folder, |_, _| false);
}

/// Removes what is old, or for which `is_waste` holds by its name and by the name that it was to get. What cannot be removed, or is
/// written to now, stays.
fn sweep_those(folder: &Path, is_waste: impl Fn(&OsStr, &[u8]) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(becomes) = name_in(&name) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        let is_ours = metadata.is_file() && metadata.uid() == geteuid().as_raw();
        if is_ours && (is_old(&metadata) || is_waste(&name, becomes)) {
            remove(&entry.path());
        }
    }
}

/// Removes a file, unless another process holds it.
fn remove(path: &Path) {
    let file = open(&mut OpenOptions::new(), path);
    if file.as_ref().is_ok_and(|file| file.try_lock().is_ok()) {
        // Another process may have been quicker.
        let _ = fs::remove_file(path);
    }
}

fn is_old(metadata: &fs::Metadata) -> bool {
    let oldest = SystemTime::now().checked_sub(OLDEST);
    oldest.zip(metadata.modified().ok()).is_some_and(|(oldest, modified)| modified < oldest)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, symlink};

    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn resume(&self, name: &str, content: &str) -> Unfinished {
            let content = Digest::sha256_of(content);
            sweep_beside(self.folder.path(), name.as_ref(), &content);
            Unfinished::resume(self.folder.path(), name.as_ref(), &content, SMALLEST).unwrap()
        }

        /// Leaves a file with a MiB in it, and returns where.
        fn left(&self, name: &str, content: &str) -> PathBuf {
            let file = self.resume(name, content);
            file.file().write_all_at(&vec![7; 1 << 20], 0).unwrap();
            file.record().unwrap().note(&(0..1 << 20));
            file.leave().unwrap()
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.folder.path()).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    fn found(file: &Unfinished) -> Vec<std::ops::Range<u64>> {
        file.record().map(|record| record.found()).unwrap_or_default()
    }

    #[test]
    fn what_is_left_is_gone_on_with_and_gets_its_name() {
        let scene = Scene::new();
        scene.left("app.tar", "a");
        let file = scene.resume("app.tar", "a");
        assert_eq!(found(&file).as_slice(), std::slice::from_ref(&(0..1 << 20)));
        file.persist(&scene.folder.path().join("app.tar")).unwrap();
        assert_eq!(scene.names(), ["app.tar"]);
        assert_eq!(fs::metadata(scene.folder.path().join("app.tar")).unwrap().len(), SMALLEST);
    }

    #[test]
    fn nothing_is_left_of_what_was_dropped_or_has_nothing_in_it() {
        let scene = Scene::new();
        scene.left("app.tar", "a");
        drop(scene.resume("app.tar", "a"));
        assert_eq!(scene.resume("app.tar", "a").leave(), None);
        assert_eq!(scene.names(), Vec::<String>::new());
    }

    #[test]
    fn another_process_gets_a_file_of_its_own() {
        let scene = Scene::new();
        let first = scene.resume("app.tar", "a");
        first.record().unwrap().note(&(0..10));
        let second = scene.resume("app.tar", "a");
        assert!(second.record().is_none());
        // Nor does it take the first one's for waste where it wants something else.
        let third = scene.resume("app.tar", "b");
        assert!(third.record().is_some());
        drop((second, third));
        assert!(first.leave().is_some_and(|path| path.exists()));
    }

    #[test]
    fn there_is_one_for_each_name_and_none_is_old() {
        let scene = Scene::new();
        let (one, two) = (scene.left("app.tar", "a"), scene.left("other.tar", "a"));
        let three = scene.left("app.tar", "b");
        assert!(!one.exists() && two.exists() && three.exists());
        for path in [&two, &three] {
            let old = SystemTime::now() - OLDEST * 2;
            File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
        sweep(scene.folder.path());
        assert!(!two.exists() && !three.exists());
    }

    #[test]
    fn what_has_become_old_meanwhile_is_not_gone_on_with() {
        let scene = Scene::new();
        let path = scene.left("app.tar", "a");
        let old = SystemTime::now() - OLDEST * 2;
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let content = Digest::sha256_of("a");
        let file = Unfinished::resume(scene.folder.path(), "app.tar".as_ref(), &content, SMALLEST).unwrap();
        assert!(file.record().is_some() && found(&file).is_empty());
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let scene = Scene::new();
        let path = scene.left("app.tar", "a");
        let other = scene.folder.path().join("other");
        for is_link in [true, false] {
            fs::rename(&path, &other).unwrap();
            if is_link {
                symlink(&other, &path).unwrap();
            } else {
                fs::hard_link(&other, &path).unwrap();
            }
            assert!(scene.resume("app.tar", "a").record().is_none(), "{is_link}");
            fs::remove_file(&path).unwrap();
            fs::rename(&other, &path).unwrap();
        }
        for name in
            [".app.tar.reposure", ".app.tar.0123456789abcdeg.reposure", "app.tar.0123456789abcdef.reposure"]
        {
            fs::write(scene.folder.path().join(name), "").unwrap();
            drop(scene.resume("app.tar", "b"));
            assert!(scene.folder.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn what_is_small_is_fetched_anew() {
        let scene = Scene::new();
        let content = Digest::sha256_of("a");
        let file = Unfinished::resume(scene.folder.path(), "x".as_ref(), &content, SMALLEST - 1).unwrap();
        assert!(file.record().is_none());
    }
}
