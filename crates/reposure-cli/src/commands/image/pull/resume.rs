//! Pulls that break off, and those that go on with what is left of them.

use anyhow::{Error, Result};
use reposure_client::pull::PullError;

/// Does the work, and again where what an earlier pull left proved damaged: with the first try it is gone.
pub(super) async fn or_anew(work: impl AsyncFn() -> Result<()>) -> Result<()> {
    match work().await {
        Err(error) if error.chain().any(is_damage) => {
            tracing::info!("what an earlier pull left is damaged, and is fetched again");
            work().await
        }
        done => done,
    }
}

fn is_damage(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref().is_some_and(|error| matches!(error, PullError::Damaged(_)))
}

/// Leaves what came to the next one, where the link may come back or the user log in again, and says so if `leave` tells that there is
/// anything.
pub(super) fn broken_off(error: PullError, leave: impl FnOnce() -> bool) -> Error {
    let is_left = error.leaves_good_bytes() && leave();
    let error = Error::from(error);
    if is_left { error.context("it broke off: the same command goes on with what came of it") } else { error }
}

#[cfg(test)]
mod tests {
    use std::io;

    use reposure_client::session::SessionError;
    use reposure_oci::Digest;

    use super::*;

    #[test]
    fn only_what_may_come_back_is_left_to_another_pull() {
        let lost = || PullError::Range {
            digest: Digest::sha256_of(""),
            start: 0,
            end: 1,
            source: SessionError::Broken { path: "/".into(), source: "cut".into() },
        };
        let full = PullError::Write(io::ErrorKind::StorageFull.into());
        assert!(!broken_off(full, || panic!("it is left")).to_string().contains("goes on"));
        assert!(broken_off(lost(), || true).to_string().contains("the same command goes on"));
        assert!(
            !broken_off(lost(), || false).to_string().contains("goes on"),
            "there is nothing to go on with"
        );
    }

    #[tokio::test]
    async fn damage_is_fetched_anew_once() {
        for fails in [1, 2] {
            let count = std::cell::Cell::new(0);
            let done = or_anew(async || {
                count.set(count.get() + 1);
                let damaged = PullError::Damaged(Box::new(PullError::Write(io::ErrorKind::Other.into())));
                if count.get() <= fails { Err(Error::from(damaged).context("x")) } else { Ok(()) }
            });
            assert_eq!(done.await.is_ok(), fails == 1);
            assert_eq!(count.get(), 2);
        }
        assert!(or_anew(async || Err(Error::msg("another"))).await.is_err());
    }
}
