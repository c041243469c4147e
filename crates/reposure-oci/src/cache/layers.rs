//! The cache's file.

use std::{
    fs::{DirBuilder, File, Metadata},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::geteuid;

use super::{
    alone::{self, TEMPORARY},
    entry::{self, BYTES, ENTRIES, Entry, MEASURED},
    stamp::Stamp,
};
use crate::digest::Digest;

/// The file in the cache's folder.
const NAME: &str = "layers";
/// The folder is nobody else's business.
const MODE: u32 = 0o700;

/// What layers became when they were compressed, in a folder; clones share it, and so may processes.
///
/// It holds at most 4096 layers, in a file of at most 4 MiB, which is replaced as a whole: a reader sees the old or the new one.
/// Processes replace it one after the other; on file systems that lock no folders, one of two that do so at the same moment may lose
/// an entry, and with it no more than time. Its folder is made when there is something to keep, and what a process left there that
/// was killed goes after an hour. What cannot be read is taken for empty, and what cannot be written is left; so is what others than
/// its owner may write to.
#[derive(Clone, Debug)]
pub struct LayerCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Held while the file is replaced.
    writing: Mutex<()>,
}

impl LayerCache {
    /// Takes a folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Shared { folder: folder.into(), writing: Mutex::new(()) }))
    }

    /// Finds what a layer became by an encoder. This blocks.
    pub(crate) fn find(&self, diff_id: &Digest, encoder: &str) -> Option<Entry> {
        self.read().into_iter().rev().find(|entry| entry.diff_id == *diff_id && entry.encoder == encoder)
    }

    /// Tells whether an encoder has compressed any layer of so many bytes. This blocks.
    pub(crate) fn knows_size(&self, plain_size: u64, encoder: &str) -> bool {
        self.read().iter().any(|entry| entry.plain_size == plain_size && entry.encoder == encoder)
    }

    /// Finds what was measured of a stretch of a file in this state. This blocks.
    pub(crate) fn measured(&self, stamp: &Stamp) -> Option<Digest> {
        self.find(&stamp.0, MEASURED).map(|entry| entry.digest)
    }

    /// Keeps what was measured of a stretch of a file, which is in this state before and after. This blocks.
    pub(crate) fn keep_measured(&self, stamp: Stamp, diff_id: Digest, size: u64) {
        let encoder = MEASURED.into();
        self.keep(Entry { diff_id: stamp.0, plain_size: size, encoder, digest: diff_id, size });
    }

    /// Keeps what a layer became, as the newest entry. This blocks.
    pub(crate) fn keep(&self, entry: Entry) {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.add(entry) {
            tracing::debug!(folder = %self.0.folder.display(), %error, "the cache of layers cannot be written");
        }
    }

    fn add(&self, entry: Entry) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(MODE).create(&self.0.folder)?;
        let _alone = alone::lock(&self.0.folder);
        let mut entries = self.read();
        entries.retain(|known| known.diff_id != entry.diff_id || known.encoder != entry.encoder);
        entries.push(entry);
        let surplus = entries.len().saturating_sub(ENTRIES);
        self.write(&entries[surplus..])
    }

    fn read(&self) -> Vec<Entry> {
        let read = || -> io::Result<String> {
            let mut text = String::new();
            let file = File::open(self.0.folder.join(NAME))?;
            if !(is_ours(&self.0.folder.metadata()?) && is_ours(&file.metadata()?)) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            // A byte more than may be, so that a larger file is not whole.
            file.take(BYTES + 1).read_to_string(&mut text)?;
            Ok(text)
        };
        read().ok().and_then(|text| entry::read(&text)).unwrap_or_default()
    }

    fn write(&self, entries: &[Entry]) -> io::Result<()> {
        if !is_ours(&self.0.folder.metadata()?) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        alone::sweep(&self.0.folder);
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.0.folder)?;
        file.write_all(entry::write(entries).as_bytes())?;
        file.persist(self.0.folder.join(NAME))?;
        Ok(())
    }
}

/// Tells whether nobody else could have written it: who can may choose which blob of the repository a layer becomes.
fn is_ours(metadata: &Metadata) -> bool {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    metadata.uid() == geteuid().as_raw() && metadata.mode() & WRITABLE_BY_OTHERS == 0
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cache::entry::tests::entry;

    fn cache() -> (tempfile::TempDir, LayerCache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = LayerCache::new(folder.path().join("a/reposure"));
        (folder, cache)
    }

    fn find(cache: &LayerCache, number: u64) -> Option<Entry> {
        cache.find(&entry(number).diff_id, "reposure-gzip/1")
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_left_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, cache) = cache();
        cache.keep(entry(1));
        assert!(find(&cache, 1).is_some());
        fs::set_permissions(&cache.0.folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(find(&cache, 1).is_none());
        cache.keep(entry(2));
        fs::set_permissions(&cache.0.folder, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(find(&cache, 2).is_none() && find(&cache, 1).is_some());
    }

    #[test]
    fn keeps_what_a_layer_became_by_each_encoder() {
        let (_folder, cache) = cache();
        assert_eq!(find(&cache, 1), None);
        cache.keep(entry(1));
        cache.keep(Entry { encoder: "reposure-zstd/1".into(), size: 3, ..entry(1) });
        cache.keep(Entry { size: 4, ..entry(1) });
        assert_eq!(find(&cache, 1).map(|entry| entry.size), Some(4));
        let zstd = cache.find(&entry(1).diff_id, "reposure-zstd/1");
        assert_eq!(zstd.map(|entry| entry.size), Some(3));
        assert_eq!(cache.read().len(), 2);
        assert!(cache.knows_size(1, "reposure-gzip/1"));
        assert!(!cache.knows_size(1, "gzip-9") && !cache.knows_size(2, "reposure-gzip/1"));
    }

    #[test]
    fn the_oldest_entries_go() {
        let (_folder, cache) = cache();
        let full: Vec<_> = (0..ENTRIES as u64).map(entry).collect();
        fs::create_dir_all(&cache.0.folder).unwrap();
        cache.write(&full).unwrap();
        cache.keep(entry(0));
        cache.keep(entry(ENTRIES as u64));
        assert_eq!(cache.read().len(), ENTRIES);
        assert!(find(&cache, 0).is_some(), "it was kept again");
        assert!(find(&cache, 1).is_none() && find(&cache, 2).is_some());
    }

    #[test]
    fn a_damaged_file_is_empty_and_is_replaced() {
        let (_folder, cache) = cache();
        cache.keep(entry(1));
        let path = cache.0.folder.join(NAME);
        let good = fs::read(&path).unwrap();
        let huge = [good.as_slice(), &vec![b' '; 4 << 20]].concat();
        for bytes in [&good[..good.len() - 5], b"", b"\xff\xfe", huge.as_slice()] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(cache.read(), []);
        }
        cache.keep(entry(2));
        assert_eq!(cache.read(), [entry(2)]);
        assert_eq!(fs::read_dir(&cache.0.folder).unwrap().count(), 1, "temporary files are left");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_empty_cache() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let cache = LayerCache::new(folder.path().join("file/reposure"));
        cache.keep(entry(1));
        assert_eq!(find(&cache, 1), None);
    }

    #[test]
    fn the_folder_may_go_at_any_time() {
        let (_folder, cache) = cache();
        cache.keep(entry(1));
        assert!(find(&cache, 1).is_some());
        fs::remove_dir_all(&cache.0.folder).unwrap();
        assert_eq!(find(&cache, 1), None);
        cache.keep(entry(2));
        assert!(find(&cache, 2).is_some());
        std::thread::scope(|scope| {
            let keeping = scope.spawn(|| (0..100).for_each(|number| cache.keep(entry(number))));
            while !keeping.is_finished() {
                // While it is looked into, written to, or not there.
                let _ = fs::remove_dir_all(&cache.0.folder);
            }
        });
        cache.keep(entry(3));
        assert!(find(&cache, 3).is_some());
    }

    #[test]
    fn a_process_sees_what_another_one_keeps_and_its_files_are_whole() {
        let (_folder, one) = cache();
        let two = LayerCache::new(&one.0.folder);
        std::thread::scope(|scope| {
            for (cache, first) in [(&one, 0), (&two, 1000)] {
                scope.spawn(move || (first..first + 50).for_each(|number| cache.keep(entry(number))));
            }
            scope.spawn(|| {
                // What is read at any time is whole: from the first entry on there is never none.
                while one.read().is_empty() {}
                (0..200).for_each(|_| assert!(!one.read().is_empty()));
            });
        });
        for number in (0..50).chain(1000..1050) {
            assert_eq!(find(&one, number), Some(entry(number)));
        }
        assert_eq!(fs::read_dir(&one.0.folder).unwrap().count(), 1, "temporary files are left");
    }
}
