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
    /// When they do not come.
    pub async fn probe_down(&self, length: u64) -> Result<(), SessionError> {
        let path = probe::path(length);
        let mut body = self.send(request(Method::GET, &path, "", Bytes::new())?).await?.into_body();
        while frame(&mut body, &path).await?.is_some() {}
        Ok(())
    }

    /// Sends bytes that mean nothing, [`probe::LIMIT`] at most.
    ///
    /// # Errors
    /// When the surrogate does not say that it has read them.
    pub async fn probe_up(&self, bytes: Bytes) -> Result<(), SessionError> {
        self.put(wire::PROBE, bytes).await.map(drop)
    }
}
