//! The credit that all uploads share.
//!
//! Credit once given is never taken back: each byte of a window that a client knows of has its place in memory. Of
//! the memory for uploads, half is set aside: one [`CHUNK`](reposure_parcel::limits::CHUNK) for each upload, or all of it if it is
//! smaller, so that the next chunk in order always has a place; what is left is shared evenly between the larger ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reposure_parcel::limits::{CHUNK, PLACE, PLACES, UPLOAD_MEMORY, places};

/// What a pod's surrogate does not set aside, in bytes.
const SHARED: u64 = UPLOAD_MEMORY - PLACE * PLACES as u64;

/// What one in the client's own process does not set aside, in bytes: a chunk for each of the 4 large blobs that a push has under way.
const SMALL_SHARED: u64 = 4 * CHUNK;

#[derive(Debug)]
struct Shared {
    /// All that is not set aside.
    whole: u64,
    free: u64,
    /// The accounts that share it.
    accounts: u64,
}

/// The credit that all uploads share.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Mutex<Shared>>);

/// The credit of one upload. What it holds goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Account {
    budget: Budget,
    /// What is set aside for it.
    own: u64,
    /// Whether it is larger than that.
    is_sharing: bool,
    /// The offset behind the last byte that was ever promised a place.
    granted: u64,
    /// How many bytes have left memory.
    released: u64,
    /// How much of the shared part is in use.
    shared: u64,
}

impl Budget {
    /// Takes [`UPLOAD_MEMORY`].
    pub(crate) fn new() -> Self {
        Self::with(SHARED)
    }

    /// Takes what a client needs that no network is before: a second chunk for each large blob, which is read while the first is sent.
    pub(crate) fn small() -> Self {
        Self::with(SMALL_SHARED)
    }

    fn with(shared: u64) -> Self {
        Self(Arc::new(Mutex::new(Shared { whole: shared, free: shared, accounts: 0 })))
    }

    /// Opens an account of an upload of `size` bytes, the first `offset` of which need no place. The caller keeps the sum of their
    /// [`places`] within [`PLACES`].
    pub(super) fn open(&self, size: Option<u64>, offset: u64) -> Account {
        let own = PLACE * places(size) as u64;
        let is_sharing = size.is_none_or(|size| size > own);
        self.lock().accounts += u64::from(is_sharing);
        Account { budget: self.clone(), own, is_sharing, granted: offset, released: offset, shared: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Returns the offset behind the last byte that has a place.
    pub(super) const fn granted(&self) -> u64 {
        self.granted
    }

    /// Notes that bytes have left memory.
    pub(super) fn release(&mut self, bytes: u64) {
        self.released = (self.released + bytes).min(self.granted);
        let needed = (self.granted - self.released).saturating_sub(self.own);
        let surplus = self.shared.saturating_sub(needed);
        self.shared -= surplus;
        self.budget.lock().free += surplus;
    }

    /// Promises places as far as they go, but not beyond `size`, the blob's.
    pub(super) fn grow(&mut self, size: Option<u64>) {
        let mut shared = self.budget.lock();
        let fair = self.own + shared.whole / shared.accounts.max(1);
        let aim = (self.released + fair).min(size.unwrap_or(u64::MAX));
        let wanted = aim.saturating_sub(self.granted);
        let own = (self.released + self.own + self.shared).saturating_sub(self.granted);
        let borrowed = wanted.saturating_sub(own).min(shared.free);
        shared.free -= borrowed;
        drop(shared);
        self.shared += borrowed;
        self.granted += wanted.min(own + borrowed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut shared = self.budget.lock();
        shared.free += self.shared;
        shared.accounts -= u64::from(self.is_sharing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that accounts may fill.
    fn held(accounts: &[Account]) -> u64 {
        accounts.iter().map(|account| account.granted - account.released).sum()
    }

    #[test]
    fn one_upload_may_use_all_that_is_not_set_aside() {
        let budget = Budget::new();
        let mut account = budget.open(None, 0);
        account.grow(None);
        assert_eq!(account.granted(), CHUNK + SHARED);
        drop(account);
        assert_eq!(budget.lock().free, SHARED);
    }

    #[test]
    fn what_the_registry_has_already_takes_no_place() {
        let budget = Budget::new();
        let mut account = budget.open(None, 1 << 40);
        account.grow(Some((1 << 40) + 100));
        assert_eq!((account.granted() - (1 << 40), budget.lock().free), (100, SHARED));
        account.grow(None);
        assert_eq!(account.granted() - (1 << 40), CHUNK + SHARED);
    }

    #[test]
    fn a_small_blob_holds_no_more_than_its_size() {
        let budget = Budget::new();
        let mut account = budget.open(Some(100), 0);
        account.grow(Some(100));
        assert_eq!((account.granted(), budget.lock().free), (100, SHARED));
    }

    #[test]
    fn small_blobs_take_nothing_from_a_large_one() {
        let budget = Budget::new();
        let small: Vec<_> = (4..PLACES).map(|_| budget.open(Some(PLACE), 0)).collect();
        let mut large = budget.open(Some(1 << 40), 0);
        large.grow(Some(1 << 40));
        assert_eq!(large.granted(), CHUNK + SHARED);
        for mut account in small {
            account.grow(Some(PLACE));
            assert_eq!(account.granted(), PLACE);
        }
    }

    #[test]
    fn the_sum_stays_within_the_memory_and_every_upload_gets_a_chunk() {
        let budget = Budget::new();
        let mut accounts = Vec::new();
        // The first ones take much before the others come.
        for count in 1..=PLACES / places(None) {
            accounts.push(budget.open(None, 0));
            for account in &mut accounts {
                account.grow(None);
            }
            assert_eq!(accounts.len(), count);
            assert!(held(&accounts) <= UPLOAD_MEMORY);
            assert!(accounts.iter().all(|account| account.granted >= CHUNK), "{accounts:?}");
        }
        // Bytes leave in uneven steps.
        for step in 0..1000_u64 {
            let account = &mut accounts[usize::try_from(step * 5 % 8).unwrap()];
            account.release((step % 7) << 20);
            account.grow(None);
            assert!(account.granted - account.released >= CHUNK);
            assert!(held(&accounts) <= UPLOAD_MEMORY, "step {step}");
        }
        // In the end all have an equal share.
        for _ in 0..3 {
            for account in &mut accounts {
                account.release(account.granted - account.released);
                account.grow(None);
            }
        }
        assert!(accounts.iter().all(|a| a.granted - a.released == CHUNK + SHARED / 8), "{accounts:?}");
    }
}
