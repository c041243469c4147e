//! When to try again.

use std::time::Duration;

use tokio::time::Instant;

use super::{error::Error, limits::Limits};

/// The longest pause that grew: what is back is asked again within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Counts the tries of one call.
#[derive(Debug)]
pub(crate) struct Retry {
    left: u32,
    pause: Duration,
    budget: Duration,
    begun: Instant,
    patience: Duration,
    unanswered: bool,
    tries: u16,
}

impl Retry {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            left: limits.attempts.saturating_sub(1),
            pause: limits.pause,
            budget: limits.pauses,
            begun: Instant::now(),
            patience: limits.patience,
            unanswered: false,
            tries: 1,
        }
    }

    /// Tells whether a try may have been heard though its answer was lost.
    pub(crate) const fn was_unanswered(&self) -> bool {
        self.unanswered
    }

    /// Waits before the next try after this error, or returns it if there is to be none.
    pub(crate) async fn pause(&mut self, mut error: Error) -> Result<(), Error> {
        let Some(pause) = self.after(&error) else {
            if self.tries > error.operation.tries {
                error.operation.tries = self.tries;
                let seconds = self.begun.elapsed().as_millis().div_ceil(1000);
                error.operation.seconds = seconds.try_into().unwrap_or(u16::MAX);
            }
            return Err(error);
        };
        self.tries = self.tries.saturating_add(1);
        // A status of a proxy's, such as 504, is no answer of the registry either.
        self.unanswered = true;
        tracing::debug!(%error, cause = %error.failure, ?pause, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Returns the pause before the next try after this error, unless there is to be none.
    fn after(&mut self, error: &Error) -> Option<Duration> {
        if self.left == 0 || !error.is_transient() || self.begun.elapsed() >= self.patience {
            return None;
        }
        self.left -= 1;
        // Half to one and a half, so that many clients do not come back together.
        let pause = self.pause.mul_f64(0.5 + rand::random::<f64>());
        self.pause = (self.pause * 2).min(LONGEST_PAUSE.max(self.pause));
        let pause = error.retry_after().map_or(pause, |asked| asked.max(pause));
        self.budget = self.budget.checked_sub(pause)?;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::registry::{
        error::{Failure, Refusal},
        operation::{Action, Operation},
    };

    fn refused(status: u16, retry_after: Option<u64>) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        let retry_after = retry_after.map(Duration::from_secs);
        let refusal =
            Refusal { status, errors: Vec::new(), text: None, html: false, is_full: false, retry_after };
        Error::new(&Operation::global(Action::Ping), Failure::Refused(refusal))
    }

    #[test]
    fn pauses_grow_and_tries_end() {
        let limits = Limits::default();
        let mut retry = Retry::new(&limits);
        let pauses: Vec<_> = std::iter::from_fn(|| retry.after(&refused(503, None))).collect();
        assert_eq!(pauses.len(), 3);
        for (pause, doubled) in pauses.iter().zip([1, 2, 4]) {
            let middle = limits.pause * doubled;
            assert!(*pause >= middle / 2 && *pause <= middle * 3 / 2, "{pause:?}");
        }
    }

    #[test]
    fn pauses_stay_short_and_patience_ends() {
        let patient = Limits { attempts: u32::MAX, pauses: Duration::from_secs(120), ..Limits::default() };
        let mut retry = Retry::new(&patient);
        let pauses: Vec<_> = std::iter::from_fn(|| retry.after(&refused(503, None))).collect();
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE * 3 / 2), "{pauses:?}");
        let sum: Duration = pauses.iter().sum();
        assert!(sum <= patient.pauses && sum + LONGEST_PAUSE * 3 / 2 > patient.pauses, "{sum:?}");
        let impatient = Limits { patience: Duration::ZERO, ..patient };
        assert_eq!(Retry::new(&impatient).after(&refused(503, None)), None);
    }

    #[test]
    fn retry_after_is_honoured_within_bounds() {
        let mut retry = Retry::new(&Limits::default());
        assert_eq!(retry.after(&refused(429, Some(20))), Some(Duration::from_secs(20)));
        assert_eq!(retry.after(&refused(429, Some(20))), None);
        assert_eq!(Retry::new(&Limits::default()).after(&refused(404, None)), None);
    }
}
