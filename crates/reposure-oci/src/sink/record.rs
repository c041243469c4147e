//! What has been written of a file, noted behind its end, so that another process can go on with it.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What stands before the notes, with the file's size: the last letter is the version of this form.
const START: [u8; 8] = *b"reposur1";
/// The length of each note in bytes: where a range begins and where it ends.
const NOTE: usize = 16;
/// The most notes. There is one for each MiB that was written, and one for each answer that broke off.
const NOTES: u64 = 1 << 20;

/// What a file holds that is written in ranges, in any order: found in it at first, and noted in it since.
///
/// Notes stand behind the file's own end. They say what a process has given to the system, which outlives the process and not
/// the machine, so they are no proof: whoever goes on with a file verifies it whole.
#[derive(Debug)]
pub struct Record {
    file: File,
    size: u64,
    /// How many notes there are, with the one at the start.
    count: AtomicU64,
    found: Mutex<Vec<Range<u64>>>,
}

impl Record {
    /// Reads what a file of `size` bytes holds, or begins with nothing in it. This blocks.
    pub(super) fn open(file: File, size: u64) -> io::Result<Self> {
        let record = Self { file, size, count: AtomicU64::new(0), found: Mutex::default() };
        match record.read() {
            Some(found) => *record.lock() = found,
            None => record.begin()?,
        }
        Ok(record)
    }

    /// Returns what was in the file when it was opened, in order and without overlaps.
    pub fn found(&self) -> Vec<Range<u64>> {
        self.lock().clone()
    }

    /// Takes note of a range that has been written. This blocks, for as long as it takes to write 16 bytes.
    pub fn note(&self, range: &Range<u64>) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        if number <= NOTES {
            // What is not noted is fetched again.
            let _ = self.write(number, range.start.to_le_bytes(), range.end.to_le_bytes());
        }
    }

    /// Tells whether there is anything that another process could go on with.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 1
    }

    /// Takes the notes off the file, which is whole. This blocks.
    pub(super) fn close(&self) -> io::Result<()> {
        self.file.set_len(self.size)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Range<u64>>> {
        // Nothing can panic while it is held.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> io::Result<()> {
        // What was noted is gone before anything new is.
        self.file.set_len(self.size)?;
        self.count.store(1, Ordering::Relaxed);
        self.write(0, START, self.size.to_le_bytes())
    }

    fn write(&self, number: u64, first: [u8; 8], second: [u8; 8]) -> io::Result<()> {
        self.file.write_all_at(&[first, second].concat(), self.size + number * NOTE as u64)
    }

    /// Reads the notes; none if the file is no such file.
    fn read(&self) -> Option<Vec<Range<u64>>> {
        let length = self.file.metadata().ok()?.len().checked_sub(self.size)?;
        let count = (length / NOTE as u64).min(NOTES + 1);
        let mut bytes = vec![0; usize::try_from(count).ok()? * NOTE];
        self.file.read_exact_at(&mut bytes, self.size).ok()?;
        let (notes, _) = bytes.as_chunks::<NOTE>();
        let (start, notes) = notes.split_first()?;
        if *start != *[START, self.size.to_le_bytes()].concat() {
            return None;
        }
        self.count.store(count, Ordering::Relaxed);
        Some(merged(notes.iter().map(range).filter(|range| range.end <= self.size).collect()))
    }
}

fn range(note: &[u8; NOTE]) -> Range<u64> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    number(&note[..8])..number(&note[8..])
}

/// Puts ranges in order, and those together that touch.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1000;

    fn reopened(file: &File) -> Record {
        Record::open(file.try_clone().unwrap(), SIZE).unwrap()
    }

    #[test]
    fn what_was_noted_is_found_in_order() {
        let file = tempfile::tempfile().unwrap();
        let record = reopened(&file);
        assert!(record.found().is_empty() && !record.is_worth_keeping());
        for range in [500..600, 0..10, 600..700, 5..20, 30..30, 900..1001] {
            record.note(&range);
        }
        assert!(record.found().is_empty(), "it is what was there at first");
        let again = reopened(&file);
        assert_eq!(again.found(), [0..20, 500..700]);
        assert!(again.is_worth_keeping());
        again.note(&(20..500));
        assert_eq!(
            reopened(&file).found().as_slice(),
            std::slice::from_ref(&(0..700)),
            "notes go on behind those that are there"
        );
    }

    #[test]
    fn what_is_whole_has_no_notes() {
        let file = tempfile::tempfile().unwrap();
        let record = reopened(&file);
        record.note(&(0..SIZE));
        record.close().unwrap();
        assert_eq!(file.metadata().unwrap().len(), SIZE);
    }

    #[test]
    fn other_files_begin_anew() {
        let file = tempfile::tempfile().unwrap();
        reopened(&file).note(&(0..10));
        // Of another size, cut in the middle of the start, or with something else there.
        assert!(Record::open(file.try_clone().unwrap(), SIZE - 16).unwrap().found().is_empty());
        reopened(&file).note(&(0..10));
        file.set_len(SIZE + 9).unwrap();
        assert!(reopened(&file).found().is_empty());
        file.write_all_at(&[b'x'; 64], SIZE).unwrap();
        assert!(reopened(&file).found().is_empty());
        // A note that is not whole is none.
        let record = reopened(&file);
        record.note(&(0..10));
        record.note(&(20..30));
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        assert_eq!(reopened(&file).found().as_slice(), std::slice::from_ref(&(0..10)));
    }
}
