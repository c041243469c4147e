//! The state of a stretch of a file, by which it is known without being read.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime},
};

use crate::digest::Digest;

/// How long a file must have been left alone: the coarsest clock of a file system, FAT's.
const QUIET: Duration = Duration::from_secs(2);

/// A digest of all that tells a stretch of a file from others and from itself after a change: device, inode, size, the times of
/// change of content and inode, and where it is. Nobody but the system sets the latter of the times, as `git status` relies on, too.
///
/// File systems that keep no such time give that of the content instead, which anybody may set, and may give inode numbers anew:
/// FAT, SMB, 9p, SSH and others through FUSE. Who sets it back after a change, as `touch -r` does, gets the stamp of the former
/// content: it is taken for a layer that it was before, and damage to it goes unnoticed, as what is used then is the layer that
/// was measured. `image push --no-cache` reads everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(super) Digest);

impl Stamp {
    /// Makes one of a file's metadata; there is none where the file changed so lately that a change now would not show.
    pub(crate) fn new(file: &Metadata, offset: u64, length: u64, now: SystemTime) -> Option<Self> {
        let seconds = u64::try_from(file.ctime().max(file.mtime())).ok()?;
        let changed = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds + 1))?;
        if now.duration_since(changed).ok()? < QUIET {
            return None;
        }
        let (dev, ino, size) = (file.dev(), file.ino(), file.size());
        let (mtime, mtime_nsec, ctime, ctime_nsec) =
            (file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec());
        let text = format!("{dev} {ino} {size} {mtime} {mtime_nsec} {ctime} {ctime_nsec} {offset} {length}");
        Some(Self(Digest::sha256_of(text)))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    #[test]
    fn every_change_and_every_other_place_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "0123").unwrap();
        let later = SystemTime::now() + Duration::from_secs(10);
        let stamp = |offset, length| Stamp::new(&path.metadata().unwrap(), offset, length, later);
        let first = stamp(0, 4).unwrap();
        assert_eq!(stamp(0, 4), Some(first.clone()));
        assert_ne!(stamp(0, 3), Some(first.clone()));
        assert_ne!(stamp(1, 4), Some(first.clone()));
        // Of the same size and time of change, but another inode.
        let time = path.metadata().unwrap().modified().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "3210").unwrap();
        fs::File::open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(stamp(0, 4), Some(first));
    }

    #[test]
    fn what_has_just_changed_has_none() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"x").unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(Stamp::new(&metadata, 0, 1, SystemTime::now()), None);
        assert_eq!(Stamp::new(&metadata, 0, 1, SystemTime::UNIX_EPOCH), None, "a clock that was set back");
    }
}
