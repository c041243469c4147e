//! Memory for what is read of files, which is used again.
//!
//! A piece that is sent is given back at once. Memory that is new from the kernel has to be cleared and mapped page by page first,
//! which takes a third as long as to read the piece into it; and the allocator gives large pieces back to the kernel.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// What is smaller is left to the allocator, in bytes: it keeps that itself (glibc's `M_MMAP_THRESHOLD`).
const SMALLEST: usize = 128 << 10;
/// How much is kept while nobody uses it, in bytes: the pieces that a push to a near registry reads at once.
const KEPT: usize = 8 << 20;

/// The memory of this process that nobody uses.
pub(super) static SPARE: Spare = Spare(Mutex::new(Vec::new()));

/// Buffers that nobody uses, the latest at the end.
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

/// Bytes that are given back when they are dropped.
struct Lent {
    bytes: Vec<u8>,
    home: &'static Spare,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

impl Spare {
    /// Returns an empty buffer with room for `length` bytes, and perhaps for up to as many again.
    pub(super) fn take(&self, length: usize) -> Vec<u8> {
        let found = if length < SMALLEST { None } else { self.find(length) };
        found.unwrap_or_else(|| Vec::with_capacity(length))
    }

    /// Makes bytes of a buffer, which comes back once nobody has them.
    pub(super) fn lend(&'static self, bytes: Vec<u8>) -> Bytes {
        if bytes.capacity() < SMALLEST { bytes.into() } else { Bytes::from_owner(Lent { bytes, home: self }) }
    }

    /// Takes the latest that fits: it is the likeliest to be in a processor's cache.
    fn find(&self, length: usize) -> Option<Vec<u8>> {
        let fits = |bytes: &Vec<u8>| (length..=length.saturating_mul(2)).contains(&bytes.capacity());
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.iter().rposition(fits).map(|at| spare.remove(at))
    }

    /// Keeps a buffer, at the expense of the oldest ones: they are of a size that nobody asks for any more.
    fn give_back(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() > KEPT {
            return;
        }
        bytes.clear();
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(bytes);
        while spare.iter().map(Vec::capacity).sum::<usize>() > KEPT {
            spare.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(spare: &Spare) -> Vec<usize> {
        spare.0.lock().unwrap().iter().map(|bytes| bytes.capacity() >> 20).collect()
    }

    #[test]
    fn what_fits_is_used_again_and_the_oldest_goes_first() {
        let spare = Spare(Mutex::default());
        for mebibytes in [1, 4, 2, 3, 20] {
            spare.give_back(Vec::with_capacity(mebibytes << 20));
        }
        assert_eq!(sizes(&spare), [2, 3]);
        assert_eq!(spare.take(4 << 20).capacity(), 4 << 20);
        assert_eq!(spare.take(1 << 20).capacity(), 2 << 20);
        assert_eq!(sizes(&spare), [3]);
        assert_eq!(spare.take(1 << 20).capacity(), 1 << 20);
    }

    #[test]
    fn what_is_lent_comes_back_empty_once_nobody_has_any_of_it() {
        static SPARE: Spare = Spare(Mutex::new(Vec::new()));
        let mut bytes = SPARE.take(1 << 20);
        bytes.resize(1 << 20, 7);
        let lent = SPARE.lend(bytes);
        let part = lent.slice(1..3);
        drop(lent);
        assert!(sizes(&SPARE).is_empty());
        assert_eq!(part, [7, 7].as_slice());
        drop(part);
        assert_eq!(sizes(&SPARE), [1]);
        assert!(SPARE.take(1 << 20).is_empty());
    }
}
