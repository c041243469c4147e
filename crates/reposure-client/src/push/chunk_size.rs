//! How large chunks are.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use reposure_parcel::limits::LARGEST_CHUNK;

/// The smallest chunk that a middle box is tried with, in bytes: none is known to take less.
const SMALLEST: u64 = 64 << 10;

/// The size of a push's chunks: what the surrogate wishes, and half as much for good whenever something on the way takes no
/// body of that size.
#[derive(Clone, Debug)]
pub(super) struct ChunkSize(Arc<AtomicU64>);

impl ChunkSize {
    /// Starts with what the surrogate wishes.
    pub(super) fn new(wish: u64) -> Self {
        Self(Arc::new(AtomicU64::new(wish.clamp(1, LARGEST_CHUNK))))
    }

    /// Returns the size in bytes, at least 1.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes note that a body of `length` bytes is too large, and tells whether smaller ones may be tried.
    pub(super) fn refuse(&self, length: u64) -> bool {
        let half = length / 2;
        if half < SMALLEST {
            return false;
        }
        // Of many refusals of one size only the first halves it.
        self.0.fetch_min(half, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_halves_it_once_and_there_is_an_end() {
        let size = ChunkSize::new(4 << 20);
        assert!(size.refuse(4 << 20) && size.refuse(4 << 20));
        assert_eq!(size.get(), 2 << 20);
        let halvings = std::iter::from_fn(|| size.refuse(size.get()).then(|| size.get())).count();
        assert_eq!((halvings, size.get()), (5, SMALLEST));
    }

    #[test]
    fn a_surrogate_cannot_ask_for_nothing_or_too_much() {
        assert_eq!(ChunkSize::new(0).get(), 1);
        assert_eq!(ChunkSize::new(u64::MAX).get(), LARGEST_CHUNK);
    }
}
