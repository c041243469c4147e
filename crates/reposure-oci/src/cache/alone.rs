//! The cache's folder while its file is replaced: by one process at a time, and without what those left that were killed.

use std::{
    fs::{self, DirEntry, File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long another process is waited for, which replaces the file within milliseconds. Then it is done beside that one, which costs
/// an entry at most.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// How long to wait until the next try.
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// What the name of a file begins with that is being written.
pub(super) const TEMPORARY: &str = ".layers-";
/// How old such a file is when nobody writes to it any more: that takes milliseconds, or minutes where a network is away.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Holds the folder against other processes until the file is dropped. This blocks.
pub(super) fn lock(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_PAUSE),
            // NFS locks no folders.
            Err(_) => return None,
        }
    }
}

/// Deletes files that nobody will ever finish. This blocks.
pub(super) fn sweep(folder: &Path) {
    let Some(oldest) = SystemTime::now().checked_sub(ABANDONED) else { return };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_abandoned(entry, oldest)) {
        // Another process may have been quicker.
        let _ = fs::remove_file(entry.path());
    }
}

fn is_abandoned(entry: &DirEntry, oldest: SystemTime) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
        && entry
            .metadata()
            .is_ok_and(|file| file.is_file() && file.modified().is_ok_and(|time| time < oldest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_left_that_was_killed_goes_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let names = [".layers-old", ".layers-new", "layers", "another"];
        for (name, age) in names.into_iter().zip([ABANDONED * 2, ABANDONED / 2, ABANDONED * 2, ABANDONED * 2])
        {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(now - age).unwrap();
        }
        sweep(folder.path());
        let left = names.map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, true, true, true]);
        sweep(&folder.path().join("missing"));
    }

    #[test]
    fn one_at_a_time_holds_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let waiting = thread::spawn({
            let folder = folder.path().to_owned();
            move || lock(&folder).is_some()
        });
        thread::sleep(LOCK_PAUSE * 5);
        assert!(!waiting.is_finished());
        drop(held);
        assert!(waiting.join().unwrap());
        assert!(lock(&folder.path().join("missing")).is_none());
    }
}
