//! Room on the disk for what is to come.

use std::{fs::File, io};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

/// Gives a file at least this size and takes the room for it, so that a full disk shows before anything is fetched, and the file
/// system finds one place for the whole. Where a file system cannot take room ahead, the file has its size alone.
pub(super) fn reserve(file: &File, size: u64) -> io::Result<()> {
    if size > 0
        && let Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) =
            fallocate(file, FallocateFlags::empty(), 0, size)
    {
        return Err(error.into());
    }
    // What stands behind it may be notes of what is in it.
    if file.metadata()?.len() < size { file.set_len(size) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_room_or_says_that_there_is_none() {
        let file = tempfile::tempfile().unwrap();
        reserve(&file, 0).unwrap();
        reserve(&file, 70_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 70_000);
        reserve(&file, 50_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 70_000);
        let error = reserve(&file, i64::MAX as u64).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge), "{error}");
    }
}
