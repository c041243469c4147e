//! Waiting between tries: exponential, with jitter, within a visible deadline.

use std::{ops::RangeInclusive, time::Duration};

use rand::Rng as _;
use tokio::time::{Instant, sleep};

/// How long a link, API server, surrogate or registry that is away is waited for before the registry has answered once: a pod that is
/// replaced is back by then, and what is down for longer should be known soon.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_secs(30);
/// How long they are waited for later, by default, since what waits last got further: a node that is started again is back by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The first pause.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause in the first minute, so that a link that returns is used within a second.
const LONGEST_AT_FIRST: Duration = Duration::from_secs(1);
/// The longest pause after that.
const LONGEST: Duration = Duration::from_secs(5);
/// How long the pauses are short.
const AT_FIRST: Duration = Duration::from_secs(60);
/// Which part of a pause is made: half of it is random, so that many clients do not come back at once.
const JITTER: RangeInclusive<f64> = 0.5..=1.0;

/// The pauses between tries of one thing.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    since: Instant,
    patience: Duration,
    pause: Duration,
    at_least: Duration,
}

impl Backoff {
    /// Starts to count: no pause begins once `patience` has passed since the last [`progress`](Self::progress).
    pub fn new(patience: Duration) -> Self {
        Self::since(Instant::now(), patience)
    }

    /// Counts from an earlier time on, since when there were only failures.
    pub(crate) const fn since(since: Instant, patience: Duration) -> Self {
        Self { since, patience, pause: FIRST, at_least: Duration::ZERO }
    }

    /// Returns since when it counts.
    pub(crate) const fn began(&self) -> Instant {
        self.since
    }

    /// Starts again, after a try that got further than the one before.
    pub fn progress(&mut self) {
        *self = Self::new(self.patience);
    }

    /// Makes the next pause as long as the other side wants it, if patience lasts so long.
    pub fn heed(&mut self, wanted: Option<Duration>) {
        self.at_least = wanted.unwrap_or_default();
    }

    /// Pauses, and tells whether to try again.
    pub async fn pause(&mut self) -> bool {
        let Some(pause) = self.next(self.since.elapsed(), rand::rng().random_range(JITTER)) else {
            return false;
        };
        sleep(pause).await;
        true
    }

    /// Returns the next pause, after so much time, as this part of it; none if patience is at its end.
    fn next(&mut self, elapsed: Duration, part: f64) -> Option<Duration> {
        let left = self.patience.checked_sub(elapsed).filter(|left| !left.is_zero())?;
        let longest = if elapsed < AT_FIRST { LONGEST_AT_FIRST } else { LONGEST };
        let at_least = std::mem::take(&mut self.at_least).min(left);
        let pause = self.pause.min(longest).mul_f64(part).max(at_least);
        self.pause = (self.pause * 2).min(longest);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses, in milliseconds, of which the next begins when one is over.
    fn pauses(part: f64) -> Vec<u128> {
        let (mut backoff, mut elapsed) = (Backoff::new(PATIENCE), Duration::ZERO);
        let next = || {
            let pause = backoff.next(elapsed, part)?;
            elapsed += pause;
            Some(pause.as_millis())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn pauses_grow_to_a_second_in_the_first_minute_and_to_five_in_the_second() {
        let pauses = pauses(1.0);
        let first = pauses.iter().position(|pause| *pause > 1000).unwrap();
        assert_eq!(pauses[..4], [250, 500, 1000, 1000]);
        assert!(pauses[2..first].iter().all(|pause| *pause == 1000));
        let minute: u128 = pauses[..first].iter().sum();
        assert!((60_000..62_000).contains(&minute), "{minute}");
        assert_eq!(pauses[first..first + 4], [2000, 4000, 5000, 5000]);
        assert!(pauses[first + 2..].iter().all(|pause| *pause == 5000));
        let all: u128 = pauses.iter().sum();
        assert!((120_000..125_000).contains(&all), "{all}");
    }

    #[test]
    fn half_of_a_pause_is_random() {
        assert_eq!(pauses(*JITTER.start())[..4], [125, 250, 500, 500]);
        assert_eq!(pauses(*JITTER.end())[..4], [250, 500, 1000, 1000]);
    }

    #[test]
    fn patience_begins_anew_with_progress() {
        let mut backoff = Backoff::new(PATIENCE);
        assert!(backoff.next(Duration::from_millis(119_999), 1.0).is_some());
        assert_eq!(backoff.next(PATIENCE, 1.0), None);
        backoff.progress();
        assert_eq!(backoff.next(Duration::ZERO, 1.0), Some(FIRST));
    }

    #[tokio::test]
    async fn a_pause_is_as_long_as_is_wanted_within_patience() {
        let mut backoff = Backoff::new(Duration::from_millis(900));
        backoff.heed(Some(Duration::from_secs(3600)));
        assert!(backoff.pause().await, "once more, in the end");
        // One of its own would have left time for another.
        assert!(!backoff.pause().await);
    }
}
