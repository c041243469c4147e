//! The body of a request: counted, slowed, limited, cut.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{
    answer::{self, Halt},
    shared::Shared,
};

/// How long a body is read on that was refused.
const LINGERING: Duration = Duration::from_secs(5);

pub(crate) struct Intake {
    body: Incoming,
    shared: Arc<Shared>,
    number: usize,
    received: u64,
    cut_after: Option<u64>,
    limit: Option<u64>,
    rate: Option<u64>,
}

impl Intake {
    pub(crate) fn new(body: Incoming, shared: &Arc<Shared>, number: usize, cut_after: Option<u64>) -> Self {
        let quirks = shared.quirks();
        let (limit, rate) = (quirks.body_limit, quirks.drain_rate);
        Self { body, shared: Arc::clone(shared), number, received: 0, cut_after, limit, rate }
    }

    /// Refuses a body whose announced length is over the limit.
    pub(crate) fn check_length(&self) -> Result<(), Halt> {
        let announced = self.body.size_hint().lower();
        if self.limit.is_some_and(|limit| announced > limit) { Err(too_large()) } else { Ok(()) }
    }

    /// Returns the next piece.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Halt> {
        if self.cut_after.is_some_and(|limit| self.received >= limit) {
            return Err(Halt::Cut);
        }
        let Some(frame) = self.body.frame().await else { return Ok(None) };
        let data = frame.map_err(|_| Halt::Cut)?.into_data().unwrap_or_default();
        self.shared.log.received(self.number, data.len());
        self.received += data.len() as u64;
        if self.limit.is_some_and(|limit| self.received > limit) {
            return Err(too_large());
        }
        self.slow_down(data.len()).await;
        Ok(Some(data))
    }

    /// Reads on what was refused, so that the answer is not lost when the connection closes; nginx does the same.
    pub(crate) fn linger(mut self) {
        tokio::spawn(tokio::time::timeout(LINGERING, async move {
            while let Some(Ok(_)) = self.body.frame().await {}
        }));
    }

    async fn slow_down(&self, bytes: usize) {
        if let Some(rate) = self.rate {
            let micros = (bytes as u64).saturating_mul(1_000_000) / rate.max(1);
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
    }

    /// Returns everything.
    pub(crate) async fn all(&mut self) -> Result<Vec<u8>, Halt> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

fn too_large() -> Halt {
    // What nginx answers, which is what is in the way in practice.
    let mut refusal = answer::bytes(
        StatusCode::PAYLOAD_TOO_LARGE,
        "<html><title>413 Request Entity Too Large</title></html>",
    );
    answer::set(&mut refusal, "content-type", "text/html");
    refusal.into()
}
