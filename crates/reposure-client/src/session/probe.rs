//! Timing the way to a surrogate.

use bytes::Bytes;
use http::Method;
use reposure_parcel::{probe, wire};

use super::{Session, SessionError, frame, request};

impl Session {
    /// Tells whether the surrogate gives and takes bytes that mean nothing.
    pub fn can_probe(&self) -> bool {
        self.hello.can(probe::CAPABILITY)
    }

    /// Fetches `length` bytes that mean nothing, [`probe::LIMIT`] at most.
    ///
    /// # Errors
    /// When they do not come, or more than they.
    pub async fn probe_down(&self, length: u64) -> Result<(), SessionError> {
        let path = probe::path(length);
        let mut body = self.send(request(Method::GET, &path, "", Bytes::new())?).await?.into_body();
        let mut left = length;
        while let Some(bytes) = frame(&mut body, &path).await? {
            let Some(rest) = left.checked_sub(bytes.len() as u64) else {
                return Err(SessionError::Malformed {
                    path,
                    source: "more bytes than were asked for".into(),
                });
            };
            left = rest;
        }
        Ok(())
    }

    /// Sends bytes that mean nothing, [`probe::LIMIT`] at most, and never twice.
    ///
    /// # Errors
    /// When the surrogate does not say that it has read them, or refuses a token that it took a moment ago.
    pub async fn probe_up(&self, bytes: Bytes) -> Result<(), SessionError> {
        let request = request(Method::PUT, wire::PROBE, "application/octet-stream", bytes)?;
        self.line.ask_once(request, wire::PROBE).await.map(drop)
    }
}
