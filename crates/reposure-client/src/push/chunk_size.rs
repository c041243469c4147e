//! How large chunks are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reposure_parcel::limits::LARGEST_CHUNK;

/// The smallest chunk that a middle box is tried with, in bytes: none is known to take less.
const SMALLEST: u64 = 64 << 10;
/// The smallest chunk on a slow link, in bytes: a request's headers and its way there and back weigh little beside it.
const SMALLEST_OF_SLOW: u64 = 256 << 10;
/// What may be in flight of a push, in bytes: what a surrogate gives a single upload as credit. Where a round trip takes 200 ms, on a link of
/// 1 Gbit/s in all, 256 MiB in five layers took 3.97 s, and in one 4.28 s; with 64 MiB in flight and no more credit 4.02 s and 4.49 s, with
/// all of the surrogate's 64 MiB as credit 3.75 s and 3.89 s, and with 128 MiB there 3.47 s and 3.82 s (medians of 5 interleaved runs, of 3
/// for the third). So what would have to grow is the credit, half of which is set aside for uploads that others may open.
const IN_FLIGHT: u64 = 32 << 20;
/// A chunk that takes longer is too large: that much is lost when the link is cut, and nothing is seen to move meanwhile.
const SLOW: Duration = Duration::from_secs(4);
/// A chunk that takes less may be larger: four times less than what is too long, so that a size is found and kept.
const QUICK: Duration = Duration::from_secs(1);

/// The size of a push's chunks: what the surrogate wishes; less on a link on which that takes long; and half as much for good
/// whenever something on the way takes no body of that size.
#[derive(Clone, Debug)]
pub(super) struct ChunkSize(Arc<State>);

#[derive(Debug)]
struct State {
    size: AtomicU64,
    largest: AtomicU64,
    /// What one chunk may have of all that may be in flight.
    share: AtomicU64,
}

impl ChunkSize {
    /// Starts with what the surrogate wishes.
    pub(super) fn new(wish: u64) -> Self {
        let wish = wish.clamp(1, LARGEST_CHUNK);
        let (size, largest) = (AtomicU64::new(wish), AtomicU64::new(wish));
        Self(Arc::new(State { size, largest, share: AtomicU64::new(u64::MAX) }))
    }

    /// Returns the size in bytes, at least 1.
    pub(super) fn get(&self) -> u64 {
        self.of_single().min(self.0.share.load(Ordering::Relaxed))
    }

    /// Returns the size in bytes of a body that does not go beside others of its blob, at least 1.
    pub(super) fn of_single(&self) -> u64 {
        self.0.size.load(Ordering::Relaxed)
    }

    /// Keeps chunks small enough that so many at once are no more than may be in flight.
    pub(super) fn share_among(&self, chunks: usize) {
        self.0.share.store((IN_FLIGHT / chunks.max(1) as u64).max(SMALLEST), Ordering::Relaxed);
    }

    /// Takes note that a body of `length` bytes is too large, or too long for the link, and tells whether smaller ones may be tried.
    pub(super) fn refuse(&self, length: u64) -> bool {
        let half = length / 2;
        if half < SMALLEST {
            return false;
        }
        // Of many refusals of one size only the first halves it.
        self.0.largest.fetch_min(half, Ordering::Relaxed);
        self.0.size.fetch_min(half, Ordering::Relaxed);
        true
    }

    /// Tells whether a body of `length` bytes that took so long is too small to be made smaller.
    pub(super) fn is_too_slow(length: u64, took: Duration) -> bool {
        length <= SMALLEST_OF_SLOW && took > SLOW
    }

    /// Tells whether a body that took so long was slow, of whatever size it is.
    pub(super) fn is_slow(took: Duration) -> bool {
        took > QUICK
    }

    /// Takes note of how long a body of `length` bytes took.
    pub(super) fn measure(&self, length: u64, took: Duration) {
        let (single, size) = (self.of_single(), self.get());
        let better = match took {
            _ if length != size => return, // of another size, or a blob's last
            took if took > SLOW => (size / 2).max(SMALLEST_OF_SLOW).min(size),
            took if took < QUICK => (size * 2).min(self.0.largest.load(Ordering::Relaxed)),
            _ => return,
        };
        // Of many chunks of one size only the first changes it.
        let _ = self.0.size.compare_exchange(single, better, Ordering::Relaxed, Ordering::Relaxed);
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

    #[test]
    fn a_slow_link_gets_small_chunks_until_it_is_quick() {
        let size = ChunkSize::new(4 << 20);
        let (slow, quick) = (SLOW + Duration::from_millis(1), QUICK / 2);
        size.measure(4 << 20, slow);
        size.measure(4 << 20, slow);
        assert_eq!(size.get(), 2 << 20, "the second was on its way already");
        for _ in 0..10 {
            size.measure(size.get(), slow);
        }
        assert_eq!(size.get(), SMALLEST_OF_SLOW);
        size.measure(size.get(), QUICK);
        size.measure(100, quick);
        assert_eq!(size.get(), SMALLEST_OF_SLOW);
        assert!(size.refuse(4 << 20), "what was under way");
        for _ in 0..10 {
            size.measure(size.get(), quick);
        }
        assert_eq!(size.get(), 2 << 20, "a refusal is for good");
    }

    #[test]
    fn many_at_once_are_smaller_each() {
        let size = ChunkSize::new(4 << 20);
        size.share_among(16);
        assert_eq!((size.get(), size.of_single()), (2 << 20, 4 << 20));
        size.measure(2 << 20, SLOW * 2);
        assert_eq!(size.get(), 1 << 20);
        size.measure(1 << 20, QUICK / 2);
        assert_eq!((size.get(), size.of_single()), (2 << 20, 2 << 20));
        size.measure(2 << 20, QUICK / 2);
        size.share_among(8);
        assert_eq!(size.get(), 4 << 20);
    }

    #[test]
    fn what_a_middle_box_takes_is_not_made_larger_for_a_slow_link() {
        let size = ChunkSize::new(SMALLEST * 2);
        size.measure(size.get(), SLOW * 2);
        assert_eq!(size.get(), SMALLEST * 2);
    }
}
