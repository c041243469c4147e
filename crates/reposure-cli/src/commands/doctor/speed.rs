//! How fast the way to a surrogate is.

use std::{
    fmt,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::{BoxFuture, try_join_all};
use rand::RngCore as _;
use reposure_client::session::{Session, SessionError};

/// The most that one run sends and fetches in bodies, over all channels and both ways together, in bytes: some pay for them.
const BODIES: u32 = 16 << 20;
/// What is kept of [`BODIES`] for all that is not timed, in bytes: objects of the API server, hellos, a page of a catalog.
const REST: u32 = 1 << 20;
/// What is tried first, in bytes: a poor mobile link takes some seconds for it.
const FIRST: u32 = 256 << 10;
/// A link that takes longer for [`FIRST`] is measured by it.
const SLOW: Duration = Duration::from_millis(500);
/// The most that is sent or fetched at once on others, in bytes, as pushes and pulls have several requests under way.
const PIECE: u32 = 1 << 20;
const PIECES: u32 = 4;

/// What may be sent over a channel, and as much be fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// The length of each of the [`PIECES`], in bytes.
    piece: u32,
}

impl Share {
    /// Divides what one run may send and fetch among this many channels, some few.
    pub(super) const fn of(channels: u32) -> Self {
        let one_way = (BODIES - REST) / 2 / if channels == 0 { 1 } else { channels };
        let piece = one_way.saturating_sub(FIRST) / PIECES;
        Self { piece: if piece < PIECE { piece } else { PIECE } }
    }

    /// Returns all that goes one way at most, in bytes.
    #[cfg(test)]
    const fn one_way(self) -> u32 {
        FIRST + PIECES * self.piece
    }
}

/// How fast bytes go one way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    bytes: u32,
    took: Duration,
}

impl Rate {
    /// Returns it in MiB per second.
    pub(super) fn mebibytes(self) -> f64 {
        const MEBIBYTE: f64 = 1_048_576.0;
        f64::from(self.bytes) / self.took.as_secs_f64().max(f64::EPSILON) / MEBIBYTE
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.mebibytes();
        if rate < 10.0 { write!(formatter, "{rate:.1} MiB/s") } else { write!(formatter, "{rate:.0} MiB/s") }
    }
}

/// Times bytes up and down; tells nothing where the surrogate knows no such thing, or there is no right to send.
pub(super) async fn measure(session: &Session, share: Share) -> (Option<Rate>, Option<Rate>) {
    if !session.can_probe() {
        return (None, None);
    }
    let mut random = vec![0; FIRST.max(share.piece) as usize];
    rand::rng().fill_bytes(&mut random);
    let random = Bytes::from(random);
    let up = rate(share, |length| Box::pin(session.probe_up(random.slice(..length as usize)))).await;
    let down = rate(share, |length| Box::pin(session.probe_down(length.into()))).await;
    (up.ok(), down.ok())
}

async fn rate<'a>(
    share: Share,
    exchange: impl Fn(u32) -> BoxFuture<'a, Result<(), SessionError>>,
) -> Result<Rate, SessionError> {
    let begin = Instant::now();
    exchange(FIRST).await?;
    let took = begin.elapsed();
    if took > SLOW {
        return Ok(Rate { bytes: FIRST, took });
    }
    let begin = Instant::now();
    try_join_all((0..PIECES).map(|_| exchange(share.piece))).await?;
    Ok(Rate { bytes: PIECES * share.piece, took: begin.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_for_people() {
        let text =
            |bytes, milliseconds| Rate { bytes, took: Duration::from_millis(milliseconds) }.to_string();
        assert_eq!(text(1 << 20, 800), "1.2 MiB/s");
        assert_eq!(text(4 << 20, 20), "200 MiB/s");
    }

    #[test]
    fn one_run_sends_and_fetches_16_mib_at_most() {
        // The three kinds of channels, and kubectl.
        for channels in 1..=4 {
            let share = Share::of(channels);
            assert!(channels * 2 * share.one_way() + REST <= 16 << 20, "{channels}: {share:?}");
            assert!(share.piece >= FIRST, "{channels}: a share that says nothing of a quick link: {share:?}");
        }
        assert_eq!(Share::of(1).piece, PIECE, "no more than a poor link carries while somebody waits");
    }
}
