//! One try of a blob, while it is under way.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What those who send a blob's chunks and those who commit it tell each other.
#[derive(Debug)]
pub(super) struct UnderWay {
    may_be_early: AtomicBool,
    arrived: AtomicU64,
}

impl UnderWay {
    /// Begins a try; its commit may come before the last chunks, or not.
    pub(super) const fn new(may_be_early: bool) -> Self {
        Self { may_be_early: AtomicBool::new(may_be_early), arrived: AtomicU64::new(0) }
    }

    /// Tells whether a commit may come, or comes, before the last chunks.
    pub(super) fn may_be_early(&self) -> bool {
        self.may_be_early.load(Ordering::Relaxed)
    }

    /// Takes note that all chunks were received.
    pub(super) fn all_received(&self) {
        self.may_be_early.store(false, Ordering::Relaxed);
    }

    /// Takes note that so many bytes more were received.
    pub(super) fn add(&self, bytes: u64) {
        self.arrived.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns how many bytes were received in this try.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }
}
