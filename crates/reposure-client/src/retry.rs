//! Waiting between tries: exponential, with jitter, within a visible deadline.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::{Instant, sleep};

/// How long a link, API server, surrogate or registry that is away is waited for before the registry has answered once: a pod that is
/// replaced is back by then, and what is down for longer should be known soon.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_secs(30);
/// The first pause.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause in the first minute, so that a link that returns is used within a second.
const LONGEST_AT_FIRST: Duration = Duration::from_secs(1);
/// The longest pause after that.
const LONGEST: Duration = Duration::from_secs(5);
/// How long the pauses are short.
const AT_FIRST: Duration = Duration::from_secs(60);

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
        Self { since: Instant::now(), patience, pause: FIRST, at_least: Duration::ZERO }
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
        let elapsed = self.since.elapsed();
        if elapsed >= self.patience {
            return false;
        }
        let longest = if elapsed < AT_FIRST { LONGEST_AT_FIRST } else { LONGEST };
        // Half of the pause is random, so that many clients do not come back at once.
        let factor = rand::rng().random_range(0.5..=1.0);
        let at_least = std::mem::take(&mut self.at_least).min(self.patience.saturating_sub(elapsed));
        sleep(self.pause.min(longest).mul_f64(factor).max(at_least)).await;
        self.pause = (self.pause * 2).min(longest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_is_as_long_as_is_wanted_within_patience() {
        let mut backoff = Backoff::new(Duration::from_millis(900));
        backoff.heed(Some(Duration::from_secs(3600)));
        assert!(backoff.pause().await, "once more, in the end");
        // One of its own would have left time for another.
        assert!(!backoff.pause().await);
    }
}
