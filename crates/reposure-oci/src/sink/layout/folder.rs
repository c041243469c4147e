//! The folder itself. All of this blocks.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;
use tempfile::{NamedTempFile, PersistError};

use super::{LayoutAddition, LayoutWriteError, NewBlob, index::ImageList};
use crate::{
    archive::{
        StoreError,
        layout::{INDEX_FILE, LAYOUT_FILE, LAYOUT_FILE_LIMIT, REF_NAME, blob_path},
        store::Store,
    },
    blob::Verifier,
    blocking::Stop,
    digest::Algorithm,
    manifest::{Descriptor, MANIFEST_LIMIT, RawManifest},
    sink::{
        Durability,
        atomic_file::{is_temporary, temporary},
        plan::LAYOUT,
        room::reserve,
        unfinished::{Unfinished, sweep},
    },
};

/// The folder of blobs in a layout.
const BLOBS: &str = "blobs";
/// How long another process that changes the list of images is waited for: it writes one small file.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// How often the lock is asked for.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How much of a blob that is there is verified at once, in bytes: what stays in a core's cache.
const READ: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Folder {
    /// As it was given, for messages.
    pub(super) path: PathBuf,
    /// The same, canonical.
    root: PathBuf,
    /// Whether the folder was made here.
    is_new: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

impl Folder {
    pub(super) fn open(path: PathBuf) -> Result<Self, LayoutWriteError> {
        let failed = |source| LayoutWriteError::Write { path: path.clone(), source };
        let is_new = match fs::symlink_metadata(&path) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(source) => return Err(failed(source)),
        };
        if is_new {
            fs::create_dir_all(&path).map_err(failed)?;
        }
        let root = path.canonicalize().map_err(failed)?;
        let folder = Self { path, root, is_new };
        // Looked at twice, since another process may be making a layout of the folder just now.
        let is_fit = folder.root.is_dir()
            && (folder.is_layout()? || folder.may_become_one()? || folder.is_layout()?);
        if !is_fit {
            return Err(LayoutWriteError::NotALayout(folder.path.clone()));
        }
        Ok(folder)
    }

    fn is_layout(&self) -> Result<bool, LayoutWriteError> {
        let file = self.store().json::<LayoutFile>(LAYOUT_FILE, LAYOUT_FILE_LIMIT);
        let Some(file) = file.map_err(|source| self.unusable(source))? else { return Ok(false) };
        let version = file.0.image_layout_version;
        if version.starts_with("1.") {
            return Ok(true);
        }
        Err(LayoutWriteError::Version { path: self.path.clone(), version })
    }

    /// Tells whether there is nothing in the folder, but for what another pull has left or is just making.
    fn may_become_one(&self) -> Result<bool, LayoutWriteError> {
        let failed = |source| LayoutWriteError::Write { path: self.path.clone(), source };
        for entry in self.root.read_dir().map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let is_ours = name == BLOBS || is_temporary(&name, LAYOUT_FILE);
            if !is_ours {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn store(&self) -> Store {
        Store::folder(self.root.clone())
    }

    fn unusable(&self, source: StoreError) -> LayoutWriteError {
        LayoutWriteError::Store { path: self.path.clone(), source }
    }

    pub(super) fn missing(
        &self,
        blobs: Vec<Descriptor>,
        stop: &Stop,
    ) -> Result<Vec<Descriptor>, LayoutWriteError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            sweep(&self.root.join(BLOBS).join(algorithm.as_str()));
        }
        let mut missing = Vec::new();
        for blob in blobs {
            if !self.holds(&blob, stop)? {
                missing.push(blob);
            }
        }
        Ok(missing)
    }

    /// Tells whether the layout has just this blob.
    fn holds(&self, blob: &Descriptor, stop: &Stop) -> Result<bool, LayoutWriteError> {
        let content = self.store().find(&blob_path(&blob.digest)).map_err(|source| self.unusable(source))?;
        let Some(content) = content.filter(|content| content.size == blob.size) else { return Ok(false) };
        let failed = |source| self.unusable(StoreError::Read { file: content.place(), source });
        let mut reader = stop.reader(content.open().map_err(failed)?);
        let (mut verifier, mut buffer) = (Verifier::new(blob), vec![0; READ]);
        loop {
            let count = reader.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                return Ok(verifier.finish().is_ok());
            }
            if verifier.update(&buffer[..count]).is_err() {
                return Ok(false);
            }
        }
    }

    pub(super) fn create(&self, blob: &Descriptor) -> Result<NewBlob, LayoutWriteError> {
        let folder = self.folder(blob.digest.algorithm())?;
        let path = folder.join(blob.digest.hex());
        let file = Unfinished::resume(&folder, blob.digest.hex().as_ref(), &blob.digest, blob.size)
            .and_then(|file| reserve(file.file(), blob.size).map(|()| file))
            .map_err(|source| LayoutWriteError::Write { path: path.clone(), source })?;
        Ok(NewBlob { file, path })
    }

    /// Returns the folder of the blobs of one algorithm, which is made if it is not there.
    fn folder(&self, algorithm: Algorithm) -> Result<PathBuf, LayoutWriteError> {
        let mut folder = self.root.clone();
        for name in [BLOBS, algorithm.as_str()] {
            folder.push(name);
            let failed = |source| LayoutWriteError::Write { path: folder.clone(), source };
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => {}
            }
            let real = folder.canonicalize().map_err(failed)?;
            if !real.starts_with(&self.root) {
                return Err(LayoutWriteError::Outside(folder));
            }
        }
        Ok(folder)
    }

    pub(super) fn add(
        &self,
        addition: &LayoutAddition,
        durability: Durability,
    ) -> Result<(), LayoutWriteError> {
        addition.blobs().iter().try_for_each(|blob| self.expect(blob))?;
        // Children go first, so that a manifest is never without what it names.
        for manifest in &addition.manifests {
            self.put(manifest, durability)?;
        }
        let _lock = self.lock(durability)?;
        let path = self.root.join(INDEX_FILE);
        let failed = |error| LayoutWriteError::Write { path: path.clone(), source: io::Error::from(error) };
        let mut list = self.list()?;
        if let Some(taken) = addition.entries.iter().find(|entry| list.is_taken(entry)) {
            let name = taken.annotations.get(REF_NAME).cloned().unwrap_or_default();
            return Err(LayoutWriteError::NameTaken { path: self.path.clone(), name });
        }
        addition.entries.iter().try_for_each(|entry| list.add(entry)).map_err(failed)?;
        let bytes = list.bytes().map_err(failed)?;
        if bytes.len() > MANIFEST_LIMIT {
            let (size, limit) = (bytes.len(), MANIFEST_LIMIT);
            return Err(LayoutWriteError::TooLarge { path, size, limit });
        }
        self.write(INDEX_FILE, &bytes, durability, |file, path| file.persist(path).map(drop))
    }

    /// Sees to it that a blob is there, by its size.
    fn expect(&self, blob: &Descriptor) -> Result<(), LayoutWriteError> {
        let content = self.store().find(&blob_path(&blob.digest)).map_err(|source| self.unusable(source))?;
        if content.is_some_and(|content| content.size == blob.size) {
            return Ok(());
        }
        Err(LayoutWriteError::Missing { path: self.path.clone(), digest: blob.digest.clone() })
    }

    fn put(&self, manifest: &RawManifest, durability: Durability) -> Result<(), LayoutWriteError> {
        let descriptor = manifest.descriptor();
        if self.holds(&descriptor, &Stop::default())? {
            return Ok(());
        }
        let blob = self.create(&descriptor)?;
        let written = blob.file().write_all(manifest.bytes());
        written.map_err(|source| LayoutWriteError::Write { path: blob.path.clone(), source })?;
        blob.keep(durability)
    }

    /// Reads the list of images, which is empty where there is none.
    fn list(&self) -> Result<ImageList, LayoutWriteError> {
        let list = self.store().json::<Value>(INDEX_FILE, MANIFEST_LIMIT as u64);
        match list.map_err(|source| self.unusable(source))? {
            None => Ok(ImageList::new()),
            Some((list, _)) => {
                ImageList::parse(list).ok_or_else(|| LayoutWriteError::Index(self.path.join(INDEX_FILE)))
            }
        }
    }

    /// Holds the layout for this process until the file is dropped. What is locked is the file that makes the folder a layout:
    /// it is never replaced.
    fn lock(&self, durability: Durability) -> Result<File, LayoutWriteError> {
        if !self.is_layout()? {
            // Another process may have been quicker.
            self.write(LAYOUT_FILE, LAYOUT, durability, |file, path| match file.persist_noclobber(path) {
                Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            })?;
        }
        let path = self.root.join(LAYOUT_FILE);
        let failed = |source| LayoutWriteError::Write { path: path.clone(), source };
        // NFS locks only what may be written to; elsewhere reading will do.
        let file = OpenOptions::new().read(true).write(true).open(&path).or_else(|_| File::open(&path));
        let file = file.map_err(failed)?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let (path, waited) = (self.path.clone(), LOCK_LIMIT);
                    return Err(LayoutWriteError::Locked { path, waited });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }

    /// Writes a file of the layout's own, which gets its name when it is complete.
    fn write(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
        persist: impl FnOnce(NamedTempFile, &Path) -> Result<(), PersistError>,
    ) -> Result<(), LayoutWriteError> {
        let path = self.root.join(name);
        let failed = |source| LayoutWriteError::Write { path: path.clone(), source };
        let mut file = temporary(&self.root, name).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        if durability == Durability::Machine {
            file.as_file().sync_all().map_err(failed)?;
        }
        persist(file, &path).map_err(|error| failed(error.error))?;
        durable(Some(&self.root), durability);
        Ok(())
    }
}

/// Brings the names in a folder to the disk. Not every file system can do that, and the files are complete anyway.
pub(super) fn durable(folder: Option<&Path>, durability: Durability) {
    if durability == Durability::Machine {
        let _ = folder.map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
    }
}

impl Drop for Folder {
    /// Leaves no empty folders behind where nothing came in.
    fn drop(&mut self) {
        if self.is_new {
            let blobs = self.root.join(BLOBS);
            let algorithms =
                [Algorithm::Sha256, Algorithm::Sha512].map(|algorithm| blobs.join(algorithm.as_str()));
            // What is not empty stays.
            algorithms.iter().chain([&blobs, &self.root]).for_each(|folder| drop(fs::remove_dir(folder)));
        }
    }
}
