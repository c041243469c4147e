//! Whether the bytes of a blob are what its digest says.
//!
//! Hashing is much of the work of a push. Where the registry has proved to the surrogate that it does the same before it confirms a
//! blob, that is left to it; what it refuses is looked at here.

use std::sync::Arc;

use bytes::Bytes;
use reposure_oci::{Blob, BlobError, Digest, Digester, blob, registry::Proof};
use reposure_parcel::upload::CHECKED;

use super::PushError;
use crate::session::Session;

/// Hashes the bytes of one blob, unless the registry does.
#[derive(Debug)]
pub(super) struct Check(Option<Digester>);

impl Check {
    /// Begins with a blob.
    pub(super) fn new(blob: &Arc<dyn Blob>, session: &Session) -> Self {
        let descriptor = blob.descriptor();
        let is_checked =
            session.hello().can(CHECKED) && Proof::is_worthwhile(&descriptor.digest, descriptor.size);
        Self((!is_checked).then(|| Digester::new(descriptor.digest.algorithm())))
    }

    /// Tells whether all bytes are to be read for it, those that have arrived too.
    pub(super) const fn is_here(&self) -> bool {
        self.0.is_some()
    }

    /// Takes the next bytes, off the threads that move them.
    pub(super) async fn update(&mut self, bytes: Bytes) -> Result<Bytes, PushError> {
        let Some(mut digester) = self.0.take() else { return Ok(bytes) };
        let hashed = tokio::task::spawn_blocking(move || {
            digester.update(&bytes);
            (bytes, digester)
        });
        let (bytes, digester) = hashed.await.map_err(PushError::Task)?;
        self.0 = Some(digester);
        Ok(bytes)
    }

    /// Compares what was read with what was to be read.
    pub(super) fn finish(self, blob: &Arc<dyn Blob>) -> Result<(), PushError> {
        let expected = &blob.descriptor().digest;
        match self.0.map(Digester::finish) {
            Some(found) if found != *expected => Err(corrupt(blob, expected.clone(), found)),
            _ => Ok(()),
        }
    }
}

/// Reads a blob that was refused once more: its source may be to blame.
pub(super) async fn again(blob: &Arc<dyn Blob>) -> Result<(), PushError> {
    let error = match blob::verify(blob.as_ref()).await {
        Ok(()) => return Ok(()),
        Err(BlobError::Damaged { source, .. }) => *source,
        Err(error) => error,
    };
    Err(match error {
        BlobError::Digest { expected, actual } => corrupt(blob, expected, actual),
        source => PushError::Blob { digest: blob.descriptor().digest.clone(), source },
    })
}

fn corrupt(blob: &Arc<dyn Blob>, expected: Digest, found: Digest) -> PushError {
    PushError::Corrupt { expected, found, origin: blob.origin() }
}
