//! The files of an archive or of a folder by path, links followed.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{
    index::{Member, MemberError, TarIndex},
    path::{MemberPath, PathError},
    place::MemberPlace,
};
use crate::{
    blob::{Blob, BlobError, FileSlice, PathBlob},
    cache::Stamp,
    gzip::Format,
    manifest::Descriptor,
    spool::Room,
};

/// How many links may follow each other, as Linux's `MAXSYMLINKS` has it. Cycles end there.
const LINKS_LIMIT: usize = 40;

/// Why a file of an archive or folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The path is none that a file of the archive can have.
    #[error(transparent)]
    Path(PathError),
    /// Links lead on and on: they form a circle.
    #[error("the link {link} at byte {offset} leads in a circle")]
    LinkCycle {
        /// The link.
        link: String,
        /// Where its header is in the archive, in bytes.
        offset: u64,
    },
    /// The file is a link to what is not there.
    #[error("the link {link} at byte {offset} leads to {target}, which is not there")]
    DanglingLink {
        /// The link.
        link: String,
        /// Where its header is in the archive, in bytes.
        offset: u64,
        /// What it leads to.
        target: String,
    },
    /// The path leads out of the folder, or to what is no file.
    #[error("{0} is no file inside of the folder")]
    Outside(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: MemberPlace,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The file is larger than its kind may be.
    #[error("{file} has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// The file.
        file: MemberPlace,
        /// Its size in bytes.
        size: u64,
        /// What it may have, in bytes.
        limit: u64,
    },
    /// The file is no JSON of the expected shape.
    #[error("{file} is malformed")]
    Malformed {
        /// The file.
        file: MemberPlace,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// The files of an archive or folder.
#[derive(Debug)]
pub(crate) struct Store {
    path: Arc<PathBuf>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tar { file: Arc<File>, index: TarIndex, room: Option<Arc<Room>> },
    Folder,
}

impl Store {
    /// Takes an uncompressed tar; `room` is what it takes in a spool, if it is there.
    pub(crate) fn tar(path: PathBuf, file: Arc<File>, index: TarIndex, room: Option<Arc<Room>>) -> Self {
        Self { path: Arc::new(path), kind: Kind::Tar { file, index, room } }
    }

    /// Takes a folder, whose path must be canonical.
    pub(crate) fn folder(path: PathBuf) -> Self {
        Self { path: Arc::new(path), kind: Kind::Folder }
    }

    /// Takes what makes the archive unusable, if anything does.
    pub(crate) fn take_problem(&mut self) -> Option<MemberError> {
        match &mut self.kind {
            Kind::Tar { index, .. } => index.problem.take(),
            Kind::Folder => None,
        }
    }

    /// Returns the file at `path`, if it is there.
    pub(crate) fn find(&self, path: &str) -> Result<Option<Content>, StoreError> {
        let path = MemberPath::parse(path.as_bytes()).map_err(StoreError::Path)?;
        match &self.kind {
            Kind::Tar { file, index, room } => {
                let Some((offset, size)) = resolve(index, &path)? else { return Ok(None) };
                let place =
                    Place::Slice { file: file.clone(), path: self.path.clone(), offset, room: room.clone() };
                Ok(Some(Content { name: path.to_string(), place, size }))
            }
            Kind::Folder => find_in_folder(&self.path, &path),
        }
    }

    /// Reads and parses the JSON file at `path`, if it is there, and tells where it is.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: u64,
    ) -> Result<Option<(T, MemberPlace)>, StoreError> {
        let Some(content) = self.find(path)? else { return Ok(None) };
        let bytes = content.read(limit)?;
        let file = content.place();
        match serde_json::from_slice(&bytes) {
            Ok(parsed) => Ok(Some((parsed, file))),
            Err(source) => Err(StoreError::Malformed { file, source }),
        }
    }
}

fn resolve(index: &TarIndex, path: &MemberPath) -> Result<Option<(u64, u64)>, StoreError> {
    // The first link is the one that was asked for.
    let (mut current, mut first) = (path, None);
    for _ in 0..LINKS_LIMIT {
        match (index.get(current), first) {
            (Some(Member::File { offset, size }), _) => return Ok(Some((*offset, *size))),
            (Some(Member::Link { header, target }), _) => {
                current = target;
                first = first.or(Some(*header));
            }
            (None, None) => return Ok(None),
            (None, Some(offset)) => {
                let (link, target) = (path.to_string(), current.to_string());
                return Err(StoreError::DanglingLink { link, offset, target });
            }
        }
    }
    Err(StoreError::LinkCycle { link: path.to_string(), offset: first.unwrap_or_default() })
}

fn find_in_folder(root: &Path, path: &MemberPath) -> Result<Option<Content>, StoreError> {
    let file = || MemberPlace { name: path.to_string(), offset: None };
    let failed = |source| StoreError::Read { file: file(), source };
    let real = match root.join(path.as_str()).canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let metadata = real.metadata().map_err(failed)?;
    if !real.starts_with(root) || !metadata.is_file() {
        return Err(StoreError::Outside(real));
    }
    let place = Place::File { path: Arc::new(real) };
    Ok(Some(Content { name: path.to_string(), place, size: metadata.len() }))
}

/// A file's content: where it is, and how much.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The path by which it was found.
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Slice { file: Arc<File>, path: Arc<PathBuf>, offset: u64, room: Option<Arc<Room>> },
    File { path: Arc<PathBuf> },
}

impl Content {
    /// Takes a whole file on disk.
    #[cfg(test)]
    pub(crate) fn file(name: String, path: PathBuf, size: u64) -> Self {
        Self { name, size, place: Place::File { path: Arc::new(path) } }
    }

    /// Starts reading from the first byte.
    pub(crate) fn open(&self) -> io::Result<ContentReader> {
        let (file, position) = match &self.place {
            Place::Slice { file, offset, .. } => (file.clone(), *offset),
            Place::File { path } => (Arc::new(File::open(path.as_ref())?), 0),
        };
        Ok(ContentReader { file, position, left: self.size })
    }

    /// Tells the format by the first bytes.
    pub(crate) fn format(&self) -> io::Result<Option<Format>> {
        let mut head = Vec::new();
        self.open()?.take(Format::MAGIC_LENGTH as u64).read_to_end(&mut head)?;
        Ok(Format::of(&head))
    }

    /// Tells the state of the file; none for a temporary one, which nobody sees again, and one that has just changed.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        if let Place::Slice { room: Some(_), .. } = self.place {
            return None;
        }
        let ContentReader { file, position, left } = self.open().ok()?;
        Stamp::new(&file.metadata().ok()?, position, left, SystemTime::now())
    }

    /// Reads all of it, at most `limit` bytes.
    pub(crate) fn read(&self, limit: u64) -> Result<Bytes, StoreError> {
        if self.size > limit {
            return Err(StoreError::TooLarge { file: self.place(), size: self.size, limit });
        }
        let mut bytes = Vec::new();
        let result = self.open().and_then(|mut reader| reader.read_to_end(&mut bytes));
        result.map_err(|source| StoreError::Read { file: self.place(), source })?;
        Ok(bytes.into())
    }

    /// Returns its name and where it is in the archive, for errors that name the archive.
    pub(crate) fn place(&self) -> MemberPlace {
        let offset = match &self.place {
            Place::File { .. } => None,
            Place::Slice { offset, .. } => Some(*offset),
        };
        MemberPlace { name: self.name.clone(), offset }
    }

    /// Returns its name and where it is, for errors.
    pub(crate) fn origin(&self) -> String {
        match &self.place {
            Place::File { path } => path.display().to_string(),
            Place::Slice { path, offset, .. } => {
                format!("{} (from byte {offset} of {})", self.name, path.display())
            }
        }
    }

    /// Makes a blob of it, whose bytes are not checked yet.
    pub(crate) fn blob(&self, descriptor: Descriptor) -> Arc<dyn Blob> {
        match &self.place {
            Place::File { path } => Arc::new(PathBlob::new(descriptor, path.clone())),
            Place::Slice { file, path, offset, room } => {
                hold(FileSlice::new(descriptor, file.clone(), path.clone(), *offset), room.clone())
            }
        }
    }
}

/// Keeps the room that a blob's file takes in a spool for as long as the blob.
pub(crate) fn hold(blob: FileSlice, room: Option<Arc<Room>>) -> Arc<dyn Blob> {
    match room {
        Some(room) => Arc::new(SpooledBlob { blob, _room: room }),
        None => Arc::new(blob),
    }
}

#[derive(Debug)]
struct SpooledBlob {
    blob: FileSlice,
    _room: Arc<Room>,
}

impl Blob for SpooledBlob {
    fn descriptor(&self) -> &Descriptor {
        self.blob.descriptor()
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        self.blob.read_at(offset, length)
    }

    fn origin(&self) -> Option<String> {
        self.blob.origin()
    }
}

/// Reads a [`Content`]; what is missing in the end is an error.
#[derive(Debug)]
pub(crate) struct ContentReader {
    file: Arc<File>,
    position: u64,
    left: u64,
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..length], self.position)?;
        if count == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::archive::testing::{Scratch, Tar};

    fn store(tar: Tar) -> Store {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&tar.bytes()).unwrap();
        let index = TarIndex::read(&file, Path::new("images.tar")).unwrap();
        Store::tar("images.tar".into(), Arc::new(file), index, None)
    }

    #[test]
    fn follows_links_of_both_kinds() {
        let store = store(Tar::new().file("a/x", "1").symlink("b/x", "../a/x").hardlink("c/x", "b/x"));
        assert_eq!(store.find("c/x").unwrap().unwrap().read(10).unwrap(), "1");
        assert!(store.find("d/x").unwrap().is_none());
    }

    #[test]
    fn links_that_lead_nowhere_are_errors() {
        let store =
            store(Tar::new().symlink("a", "b").symlink("b", "a").symlink("c", "d").hardlink("e", "e"));
        let problem = |path| store.find(path).unwrap_err().to_string();
        assert_eq!(problem("a"), "the link a at byte 0 leads in a circle");
        assert_eq!(problem("e"), "the link e at byte 1536 leads in a circle");
        assert_eq!(problem("c"), "the link c at byte 1024 leads to d, which is not there");
    }

    #[test]
    fn json_is_bounded() {
        let store = store(Tar::new().file("a", "[1, 2]").file("b", "[1, "));
        let place = MemberPlace { name: "a".into(), offset: Some(512) };
        assert_eq!(store.json::<Vec<u32>>("a", 6).unwrap(), Some((vec![1, 2], place)));
        assert!(matches!(store.json::<Vec<u32>>("a", 5), Err(StoreError::TooLarge { size: 6, .. })));
        assert!(matches!(store.json::<Vec<u32>>("b", 6), Err(StoreError::Malformed { .. })));
        assert!(matches!(store.json::<Vec<u32>>("../b", 6), Err(StoreError::Path(_))));
    }

    #[test]
    fn nothing_is_taken_from_outside_of_a_folder() {
        let scratch = Scratch::new();
        scratch.write("secret", "x");
        scratch.write("layout/inside", "y");
        let root = scratch.path().join("layout").canonicalize().unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        std::os::unix::fs::symlink("inside", root.join("fine")).unwrap();
        let store = Store::folder(root);
        assert!(matches!(store.find("link"), Err(StoreError::Outside(_))));
        assert!(matches!(store.find(""), Err(StoreError::Path(_))));
        assert_eq!(store.find("fine").unwrap().unwrap().read(1).unwrap(), "y");
    }
}
