//! The times and rates of a channel.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::Request;
use reposure_client::session::{Session, SessionError};
use reposure_parcel::wire;

use super::{
    check::{Check, milliseconds},
    figures::{self, Figures, rounded},
    speed::{self, Rate, Share},
};

/// How many round trips are timed; the shortest is shown.
pub(super) const TRIPS: usize = 5;

/// What was measured of a channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    first: Duration,
    shortest: Duration,
    up: Option<Rate>,
    down: Option<Rate>,
}

impl Timed {
    /// Times round trips to the surrogate itself, and bytes either way, after a hello that took `first`.
    pub(super) async fn measure(session: &Session, share: Share, first: Duration) -> Result<Self> {
        let mut shortest = Duration::MAX;
        for _ in 0..TRIPS {
            let begin = Instant::now();
            trip(session).await.context("the surrogate said hello, and nothing after it")?;
            shortest = shortest.min(begin.elapsed());
        }
        let (up, down) = speed::measure(session, share).await;
        Ok(Self { first, shortest, up, down })
    }

    /// Says it of the channel `name`.
    pub(super) fn check(self, name: impl Into<String>) -> Check {
        let Self { first, shortest, up, down } = self;
        let mut detail =
            format!("hello after {}, round trip {}", milliseconds(first), milliseconds(shortest));
        for (way, rate) in [("up", up), ("down", down)] {
            detail.extend(rate.map(|rate| format!(", {way} {rate}")));
        }
        Check::ok(name, detail).figures(Figures {
            first_answer_ms: Some(figures::milliseconds(first)),
            round_trip_ms: Some(figures::milliseconds(shortest)),
            up_mib_per_second: up.map(|rate| rounded(rate.mebibytes())),
            down_mib_per_second: down.map(|rate| rounded(rate.mebibytes())),
            ..Figures::default()
        })
    }
}

async fn trip(session: &Session) -> Result<(), SessionError> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = http::Uri::from_static(wire::HELLO);
    session.send(request).await.map(drop)
}
