//! How far it is to a surrogate.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A round trip from which on a link is a long one: with a chunk of 4 MiB for each of eight connections, 20 ms of waiting for each
/// answer leave a tenth of a link of 1 Gbit/s unused. What is near takes 1 to 5 ms through an API server.
pub const FAR: Duration = Duration::from_millis(20);

/// The quickest answer so far: what it took beside the way there and back, at the registry for one, was least then.
#[derive(Debug)]
pub(super) struct RoundTrip(AtomicU64);

impl RoundTrip {
    pub(super) const fn unknown() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// Takes note of how long an answer took.
    pub(super) fn note(&self, took: Duration) {
        self.0.fetch_min(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            u64::MAX => Duration::ZERO,
            nanoseconds => Duration::from_nanos(nanoseconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_answer_counts() {
        let round_trip = RoundTrip::unknown();
        assert_eq!(round_trip.get(), Duration::ZERO, "nothing is known");
        for took in [80, 30, 300] {
            round_trip.note(Duration::from_millis(took));
        }
        assert_eq!(round_trip.get(), Duration::from_millis(30));
    }
}
