//! How fast the way to a surrogate is.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::{BoxFuture, try_join_all};
use rand::RngCore as _;
use reposure_client::session::{Session, SessionError};

/// What is tried first, in bytes: a poor mobile link takes some seconds for it.
const FIRST: u32 = 256 << 10;
/// A link that takes longer for [`FIRST`] is measured by it.
const SLOW: Duration = Duration::from_millis(500);
/// What is sent or fetched at once on others, in bytes, as pushes and pulls have several requests under way. Over all channels it
/// is less than 16 MiB each way.
const PIECE: u32 = 1 << 20;
const PIECES: u32 = 4;

/// Times bytes either way; says nothing where the surrogate knows no such thing, or there is no right to send.
pub(super) async fn measure(session: &Session) -> String {
    let mut text = String::new();
    if !session.can_probe() {
        return text;
    }
    let mut random = vec![0; PIECE as usize];
    rand::rng().fill_bytes(&mut random);
    let random = Bytes::from(random);
    let up = rate(|length| Box::pin(session.probe_up(random.slice(..length as usize)))).await;
    let down = rate(|length| Box::pin(session.probe_down(length.into()))).await;
    for (way, rate) in [("up", up), ("down", down)] {
        // Writing to a string does not fail.
        let _ = rate.map(|rate| write!(text, ", {way} {rate}"));
    }
    text
}

/// Measures a rate, in bytes per second.
async fn rate<'a>(
    exchange: impl Fn(u32) -> BoxFuture<'a, Result<(), SessionError>>,
) -> Result<String, SessionError> {
    let begin = Instant::now();
    exchange(FIRST).await?;
    if begin.elapsed() > SLOW {
        return Ok(human(FIRST, begin.elapsed()));
    }
    let begin = Instant::now();
    try_join_all((0..PIECES).map(|_| exchange(PIECE))).await?;
    Ok(human(PIECES * PIECE, begin.elapsed()))
}

/// Writes a rate for people.
fn human(bytes: u32, took: Duration) -> String {
    const MEBIBYTE: f64 = 1_048_576.0;
    let rate = f64::from(bytes) / took.as_secs_f64().max(f64::EPSILON) / MEBIBYTE;
    if rate < 10.0 { format!("{rate:.1} MiB/s") } else { format!("{rate:.0} MiB/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_for_people() {
        assert_eq!(human(1 << 20, Duration::from_millis(800)), "1.2 MiB/s");
        assert_eq!(human(4 << 20, Duration::from_millis(20)), "200 MiB/s");
    }
}
