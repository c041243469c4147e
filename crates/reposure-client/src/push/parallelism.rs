//! How many chunks are in flight.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ChunkSize;
use crate::{channel::MOST_AT_ONCE, session::FAR};

/// The chunks in flight over a long way that is full, and at most where it is near.
const NEAR: usize = MOST_AT_ONCE;
/// The most chunks in flight. Over a long way each connection waits for its answers, and has a bandwidth of its own.
const MOST: usize = 16;
/// A chunk that takes so many round trips fills the link: more at once would only wait for each other.
const FULL: u32 = 8;
/// A chunk that takes fewer leaves it empty for much of the time. Half as many, since twice as many at once are half as large.
const EMPTY: u32 = 4;
/// The permits that a chunk takes. A small blob takes one: it is no longer than half of a chunk over a long way, where there are most.
const CHUNK: u32 = 2;
/// How many chunks have to say so before their number changes: one may be late for reasons of its own.
const OPINIONS: i32 = 4;

/// How many chunks are in flight: a fixed number, or one that follows the link.
///
/// Where it is near, there are as many as suit the channel, up to [`NEAR`]; over a long way up to [`MOST`], as long as they do not fill it; on a link on which the smallest
/// chunks take long, fewer, down to one.
#[derive(Clone, Debug)]
pub(super) struct Parallelism(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    permits: Arc<Semaphore>,
    chunk_size: ChunkSize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    is_fixed: bool,
    /// How many there are to be where it is near.
    near: usize,
    /// How many there are to be.
    aim: usize,
    /// How many permits are out beyond those for them.
    surplus: usize,
    /// How many chunks in a row say that there should be more; or fewer, where it is negative.
    opinion: i32,
}

/// The right to send a chunk.
#[derive(Debug)]
pub(super) struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

impl Parallelism {
    /// Starts with `fixed` chunks at once for good, or with what suits a link of this round trip: `near` where it is.
    pub(super) fn new(
        fixed: Option<usize>,
        near: usize,
        round_trip: Duration,
        chunk_size: ChunkSize,
    ) -> Self {
        let near = near.min(NEAR);
        let aim = fixed.unwrap_or(if round_trip < FAR { near } else { MOST }).max(1);
        chunk_size.share_among(aim);
        let state = State { is_fixed: fixed.is_some(), near, aim, surplus: 0, opinion: 0 };
        let permits = Arc::new(Semaphore::new(permits(aim)));
        Self(Arc::new(Shared { permits, chunk_size, state: Mutex::new(state) }))
    }

    /// Waits until another chunk may be sent.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place in the queue up.
    pub(super) async fn acquire(&self) -> Permit {
        self.acquire_many(CHUNK).await
    }

    /// Does the same for a blob of at most [`PLACE`](reposure_parcel::limits::PLACE).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub(super) async fn acquire_small(&self) -> Permit {
        let count = if self.0.lock().is_fixed { CHUNK } else { 1 };
        self.acquire_many(count).await
    }

    async fn acquire_many(&self, count: u32) -> Permit {
        // It is never closed.
        let permit = self.0.permits.clone().acquire_many_owned(count).await.ok();
        Permit { permit, shared: self.0.clone() }
    }

    /// Takes note of how long a chunk took, over a link of this round trip.
    pub(super) fn measure(&self, length: u64, took: Duration, round_trip: Duration) {
        let mut state = self.0.lock();
        // A blob's last chunk says little.
        if state.is_fixed || length < self.0.chunk_size.get() {
            return;
        }
        let Some(better) = state.judge(length, took, round_trip) else { return };
        tracing::debug!(from = state.aim, to = better, ?took, ?round_trip, "chunks in flight");
        self.0.change(&mut state, better);
    }
}

impl State {
    /// Returns how many there should be, if that is another number and enough chunks have said so.
    fn judge(&mut self, length: u64, took: Duration, round_trip: Duration) -> Option<usize> {
        let (some, most) = if round_trip < FAR { (self.near, self.near) } else { (NEAR, MOST) };
        let (opinion, better) = if ChunkSize::is_too_slow(length, took) {
            (-1, self.aim / 2)
        } else if self.aim > some && (took > round_trip * FULL || round_trip < FAR) {
            (-1, some)
        } else if self.aim < some && !ChunkSize::is_slow(took) {
            (1, (self.aim * 2).min(some))
        } else if self.aim >= some && took < round_trip * EMPTY {
            (1, most)
        } else {
            (0, self.aim)
        };
        self.opinion = if opinion * self.opinion < 0 { opinion } else { self.opinion + opinion };
        if opinion == 0 {
            self.opinion = 0;
        }
        let better = better.max(1);
        if better == self.aim || self.opinion.abs() < OPINIONS {
            return None;
        }
        self.opinion = 0;
        Some(better)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, state: &mut State, aim: usize) {
        let more = permits(aim.saturating_sub(state.aim));
        let fewer = permits(state.aim.saturating_sub(aim));
        state.aim = aim;
        // Those that are out and were to be taken away may stay instead.
        let kept = more.min(state.surplus);
        state.surplus -= kept;
        self.permits.add_permits(more - kept);
        state.surplus += fewer - self.permits.forget_permits(fewer);
        self.chunk_size.share_among(aim);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let taken_away =
            self.permit.as_mut().and_then(|permit| permit.split(state.surplus.min(permit.num_permits())));
        if let Some(permit) = taken_away {
            state.surplus -= permit.num_permits();
            permit.forget();
        }
    }
}

/// The permits for so many chunks.
const fn permits(chunks: usize) -> usize {
    chunks.saturating_mul(CHUNK as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 4 << 20;
    const MILLISECOND: Duration = Duration::from_millis(1);

    fn parallelism(fixed: Option<usize>, round_trip: Duration) -> Parallelism {
        Parallelism::new(fixed, NEAR, round_trip, ChunkSize::new(LENGTH))
    }

    /// Takes as many permits for chunks as there are.
    fn all(parallelism: &Parallelism) -> Vec<Permit> {
        let take = || parallelism.0.permits.clone().try_acquire_many_owned(CHUNK).ok();
        let permit = |permit| Permit { permit: Some(permit), shared: parallelism.0.clone() };
        std::iter::from_fn(take).map(permit).collect()
    }

    fn measure(parallelism: &Parallelism, times: i32, length: u64, took: Duration, round_trip: Duration) {
        (0..times).for_each(|_| parallelism.measure(length, took, round_trip));
    }

    #[test]
    fn it_depends_on_the_round_trip_and_what_the_user_says_is_obeyed() {
        for (fixed, round_trip, count, chunk) in [
            (None, 2, 8, 4 << 20),
            (None, 80, 16, 2 << 20),
            (Some(3), 80, 3, 4 << 20),
            (Some(0), 80, 1, 4 << 20),
            (Some(32), 2, 32, 1 << 20),
        ] {
            let parallelism = parallelism(fixed, MILLISECOND * round_trip);
            assert_eq!(all(&parallelism).len(), count, "{fixed:?} {round_trip}");
            assert_eq!(parallelism.0.chunk_size.get(), chunk);
            if fixed.is_some() {
                measure(&parallelism, 100, LENGTH, MILLISECOND * 9000, MILLISECOND);
                assert_eq!(all(&parallelism).len(), count);
            }
        }
    }

    #[test]
    fn a_long_way_that_is_full_gets_fewer_and_one_that_is_empty_more() {
        let far = MILLISECOND * 80;
        let parallelism = parallelism(None, far);
        let out = all(&parallelism);
        measure(&parallelism, OPINIONS - 1, LENGTH, far * 20, far);
        measure(&parallelism, 1, LENGTH, far * 2, far);
        assert_eq!(parallelism.0.lock().aim, MOST, "opinions differ");
        measure(&parallelism, OPINIONS, LENGTH, far * 20, far);
        assert_eq!((parallelism.0.lock().aim, parallelism.0.chunk_size.get()), (NEAR, LENGTH));
        // They come back one by one, and half of them stay away.
        drop(out);
        let out = all(&parallelism);
        assert_eq!(out.len(), NEAR);
        measure(&parallelism, OPINIONS, LENGTH, far * 6, far);
        assert_eq!(parallelism.0.lock().aim, NEAR, "that is neither");
        measure(&parallelism, OPINIONS, LENGTH, far * 2, far);
        assert_eq!(all(&parallelism).len(), MOST - NEAR, "beside those that are out");
    }

    #[tokio::test]
    async fn small_blobs_count_half_and_come_back_as_what_they_were() {
        let parallelism = parallelism(None, MILLISECOND);
        let mut small = Vec::new();
        for _ in 0..2 * NEAR {
            small.push(parallelism.acquire_small().await);
        }
        assert!(all(&parallelism).is_empty());
        parallelism.0.change(&mut parallelism.0.lock(), NEAR - 1);
        small.pop();
        assert_eq!(parallelism.0.lock().surplus, 1);
        drop(small);
        let chunks = all(&parallelism);
        assert_eq!(chunks.len(), NEAR - 1);
        parallelism.0.change(&mut parallelism.0.lock(), NEAR);
        assert_eq!(all(&parallelism).len(), 1, "beside those that are out");
    }

    #[tokio::test]
    async fn what_the_user_says_is_obeyed_with_small_blobs_too() {
        let parallelism = parallelism(Some(2), MILLISECOND);
        let _small = [parallelism.acquire_small().await, parallelism.acquire_small().await];
        assert!(all(&parallelism).is_empty());
    }

    #[test]
    fn a_channel_may_want_fewer_where_it_is_near() {
        let parallelism = Parallelism::new(None, 3, MILLISECOND, ChunkSize::new(LENGTH));
        assert_eq!(parallelism.0.lock().aim, 3);
        measure(&parallelism, OPINIONS, LENGTH, MILLISECOND * 2, MILLISECOND);
        assert_eq!(parallelism.0.lock().aim, 3);
        measure(&parallelism, 2 * OPINIONS, LENGTH, MILLISECOND * 100, FAR);
        assert_eq!(parallelism.0.lock().aim, NEAR);
    }

    #[test]
    fn a_link_that_proves_to_be_near_after_all_gets_fewer() {
        let parallelism = parallelism(None, MILLISECOND * 30);
        measure(&parallelism, OPINIONS, LENGTH, MILLISECOND * 100, MILLISECOND * 3);
        assert_eq!(all(&parallelism).len(), NEAR);
        measure(&parallelism, 100, LENGTH, MILLISECOND * 5, MILLISECOND * 3);
        assert_eq!(parallelism.0.lock().aim, NEAR);
    }

    #[test]
    fn a_link_on_which_the_smallest_chunk_takes_long_gets_one_at_a_time() {
        let parallelism = Parallelism::new(None, NEAR, MILLISECOND, ChunkSize::new(256 << 10));
        let near = MILLISECOND * 3;
        let mut out = all(&parallelism);
        for aim in [4, 2, 1, 1] {
            measure(&parallelism, OPINIONS, 256 << 10, MILLISECOND * 5000, near);
            assert_eq!(parallelism.0.lock().aim, aim);
        }
        // Three of those that are out may stay when it is quick again.
        for aim in [2, 4] {
            measure(&parallelism, OPINIONS, 256 << 10, MILLISECOND * 100, near);
            assert_eq!(parallelism.0.lock().aim, aim);
        }
        out.truncate(6);
        assert_eq!(all(&parallelism).len(), 0);
        drop(out);
        assert_eq!(all(&parallelism).len(), 4);
        measure(&parallelism, 2 * OPINIONS, 256 << 10, MILLISECOND * 100, near);
        assert_eq!(all(&parallelism).len(), NEAR);
    }
}
