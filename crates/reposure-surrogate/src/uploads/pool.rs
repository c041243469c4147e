//! The memory that holds chunks: segments of one size, used again.
//!
//! Bodies arrive in frames that are slices of larger read buffers, so keeping the frames would keep several times their
//! bytes. Copying them into segments costs a memory copy and makes the sum exact.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The size of a segment, in bytes: large enough to write to the registry in one go, small beside a chunk.
pub(super) const SEGMENT: usize = 256 << 10;

/// Segments that nobody uses now. A pool holds as many as were in use at once, and gives them up when it is told to.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<Vec<Box<[u8]>>>,
}

/// A stretch of memory of [`SEGMENT`] bytes that goes back to its pool.
pub(super) struct Segment {
    bytes: Box<[u8]>,
    pool: Arc<Pool>,
}

impl Pool {
    /// Takes a segment, whose content is whatever it was.
    pub(super) fn take(self: &Arc<Self>) -> Segment {
        let bytes = self.lock().pop().unwrap_or_else(|| vec![0; SEGMENT].into());
        Segment { bytes, pool: self.clone() }
    }

    /// Gives the memory of free segments back to the system.
    pub(super) fn shrink(&self) {
        *self.lock() = Vec::new();
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        // Nothing can panic while it is held.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.pool.lock().push(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Segment").finish_non_exhaustive()
    }
}
