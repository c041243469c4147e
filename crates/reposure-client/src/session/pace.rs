//! How quickly the bodies of requests get through, and so how long their answers are waited for.
//!
//! Whoever takes bytes need not pass them on: a middle box that has lost its other side acknowledges as much as it has room for. So a
//! body is given no more time than those before it took, several times over.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::line::ANSWER_DEADLINE;

/// The slowest link on which a request's body still arrives in time, in bytes a second: a poor mobile link.
const SLOWEST: u64 = 32 << 10;
/// How many times slower than those before it a body may be. Those before it had to share the link, too.
const SLACK: u64 = 4;
/// The shortest body that tells anything, in bytes: shorter ones take a round trip, and little else.
const SHORTEST: u64 = 256 << 10;

/// How often it is looked whether others got through meanwhile.
const LOOK: Duration = Duration::from_secs(5);

/// The pace of the last bodies, in bytes a second; 0 where it is not known.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    /// Waits for the answer to a body of `length` bytes, no longer than those before it and beside it make likely. Where that is over, it
    /// returns how long it has waited. Cancel safe: what is dropped says nothing of the pace.
    pub(super) async fn wait<T>(
        &self,
        length: usize,
        answer: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let (mut answer, began) = (pin!(answer), Instant::now());
        let mut pace = self.0.load(Ordering::Relaxed);
        let mut patience = patience(length, pace);
        while began.elapsed() < patience {
            let look = (began + patience).min(Instant::now() + LOOK);
            if let Ok(answer) = timeout_at(look, &mut answer).await {
                return Ok(answer);
            }
            // One beside it that is given up tells this one nothing.
            pace = pace.max(self.0.load(Ordering::Relaxed));
            patience = self::patience(length, pace);
        }
        self.doubt(pace);
        Err(patience)
    }

    /// Takes note of how long the answer to a body took that was taken. A slow one counts at once, a quick one bit by bit: what is there
    /// already is answered before it has come.
    pub(super) fn note(&self, length: usize, took: Duration) {
        let length = length as u64;
        if length < SHORTEST {
            return;
        }
        let nanoseconds = took.as_nanos().max(1);
        let pace = u64::try_from(u128::from(length) * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX);
        let next = |before: u64| Some(pace.min(before.max(SLOWEST * SLACK).saturating_mul(2)));
        // It never says no.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// Takes note that an answer did not come in the time of this pace: the link may have become a slower one. Of many at once the first
    /// says it for all.
    fn doubt(&self, pace: u64) {
        let _ = self.0.compare_exchange(pace, pace / SLACK, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Returns how long the answer to a body of `length` bytes may take to begin at a pace.
fn patience(length: usize, pace: u64) -> Duration {
    ANSWER_DEADLINE + Duration::from_secs((length as u64).div_ceil(SLOWEST.max(pace / SLACK)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 4 << 20;
    const SECOND: Duration = Duration::from_secs(1);

    fn patience(pace: &Pace) -> Duration {
        super::patience(CHUNK, pace.0.load(Ordering::Relaxed))
    }

    #[test]
    fn a_quick_link_is_not_waited_for_as_a_slow_one_is() {
        let pace = Pace::default();
        assert_eq!(patience(&pace), ANSWER_DEADLINE + SECOND * 128);
        assert_eq!(super::patience(0, 0), ANSWER_DEADLINE);
        for after in [64, 32, 16, 8, 4, 2, 1, 1] {
            pace.note(CHUNK, SECOND / 10);
            assert_eq!(patience(&pace), ANSWER_DEADLINE + SECOND * after);
        }
        pace.note(CHUNK, SECOND * 4);
        assert_eq!(patience(&pace), ANSWER_DEADLINE + SECOND * 16, "a slow one counts");
        for after in [8, 4, 2, 1] {
            pace.note(CHUNK, SECOND / 10);
            assert_eq!(patience(&pace), ANSWER_DEADLINE + SECOND * after);
        }
        pace.note(1000, SECOND * 10);
        assert_eq!(patience(&pace), ANSWER_DEADLINE + SECOND, "it says nothing");
        for after in [4, 16, 64, 128] {
            let before = pace.0.load(Ordering::Relaxed);
            pace.doubt(before);
            pace.doubt(before);
            assert_eq!(patience(&pace), ANSWER_DEADLINE + SECOND * after);
        }
    }

    /// Of 64 KiB/s, for one chunk alone or for eight at once.
    #[test]
    fn a_slow_link_has_the_time_that_it_had() {
        for at_once in [1, 8] {
            let pace = Pace::default();
            let took = SECOND * 64 * at_once;
            pace.note(CHUNK, took);
            assert_eq!(patience(&pace), ANSWER_DEADLINE + SECOND * 128);
            // One that is there already: this one has its 64 s all the same.
            pace.note(CHUNK, SECOND / 1000);
            assert!(patience(&pace) >= SECOND * 64, "{:?}", patience(&pace));
        }
    }
}
