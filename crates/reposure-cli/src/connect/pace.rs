//! How fast a channel is, told by a first MiB: what leads to the surrogate may crawl, as tunnels to private clusters do.

use std::{fmt, time::Duration};

use bytes::Bytes;
use rand::RngCore as _;
use reposure_client::session::Session;
use reposure_parcel::wire::Right;
use tokio::time::{Instant, timeout};

/// What is sent or fetched, in bytes: enough for a connection to get up to speed on a long way.
const AMOUNT: u32 = 1 << 20;
/// What takes longer for it is slow. It is no bar: where all channels are slow, the fastest is taken.
const SLOW: Duration = Duration::from_secs(1);
/// What takes longer stands still.
const STALL: Duration = Duration::from_secs(10);

/// How long a channel took for a MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pace {
    /// So long.
    Took(Duration),
    /// Longer than anybody waited.
    Stalled,
}

impl Pace {
    /// Times a MiB in the direction in which the rights of `right` are for moving blobs; none where that cannot be done.
    ///
    /// What breaks off tells nothing of the pace: what comes next meets it as well, and has a patience of its own.
    pub(super) async fn of(session: &Session, right: Right) -> Option<Self> {
        if !session.can_probe() {
            return None;
        }
        let begin = Instant::now();
        let probed = match right {
            Right::Pull => timeout(STALL, session.probe_down(AMOUNT.into())).await,
            Right::Push | Right::Admin => timeout(STALL, session.probe_up(random())).await,
        };
        match probed {
            Err(_elapsed) => Some(Self::Stalled),
            Ok(probed) => probed.ok().map(|()| Self::Took(begin.elapsed())),
        }
    }

    /// Tells whether another channel is worth a try.
    pub(super) fn is_slow(self) -> bool {
        self > Self::Took(SLOW)
    }
}

/// Makes bytes that nothing on the way can compress.
fn random() -> Bytes {
    let mut bytes = vec![0; AMOUNT as usize];
    rand::rng().fill_bytes(&mut bytes);
    bytes.into()
}

impl fmt::Display for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Took(took) => write!(formatter, "1 MiB takes {:.1} s", took.as_secs_f64()),
            Self::Stalled => write!(formatter, "1 MiB takes more than {} s", STALL.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_is_the_least() {
        let (quick, slow) = (Pace::Took(Duration::from_millis(20)), Pace::Took(Duration::from_secs(3)));
        assert!(quick < slow && slow < Pace::Stalled);
        assert!(!quick.is_slow() && slow.is_slow() && Pace::Stalled.is_slow());
        assert_eq!(slow.to_string(), "1 MiB takes 3.0 s");
    }
}
