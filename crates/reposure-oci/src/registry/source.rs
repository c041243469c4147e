//! A blob's bytes on their way out of their source, checked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::{
    proof::Proof,
    store::{Step, Watcher},
};
use crate::{
    blob::{Blob, BlobError, Verifier, damaged, owned_pieces},
    manifest::Descriptor,
    transport::{Body, BoxError},
};

/// What went wrong at the source, which an error of the exchange does not tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause(Arc<Mutex<Option<BlobError>>>);

impl Cause {
    /// Takes it out.
    pub(crate) fn take(&self) -> Option<BlobError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: BlobError) -> BoxError {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        "the source fails".into()
    }
}

/// Checks bytes that are read in order, some of them perhaps again. What it fails for is the last piece, if it is not before.
#[derive(Debug)]
pub(crate) struct Check {
    /// None once it is finished, and where others check.
    verifier: Option<Verifier>,
    /// That others check.
    proof: Option<Proof>,
    size: u64,
    seen: u64,
}

impl Check {
    pub(crate) fn new(blob: &Descriptor) -> Self {
        Self { verifier: Some(Verifier::new(blob)), proof: None, size: blob.size, seen: 0 }
    }

    /// Only counts the bytes as soon as the registry has proved that it checks them.
    pub(crate) fn until(blob: &Descriptor, proof: Proof) -> Self {
        Self { proof: Some(proof), ..Self::new(blob) }
    }

    /// Returns how many bytes it was given, in bytes from the blob's start.
    pub(crate) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes bytes that begin at `offset`, where there were no fewer before, and returns how many of them are new.
    pub(crate) fn take(&mut self, offset: u64, bytes: &[u8]) -> Result<u64, BlobError> {
        let known = usize::try_from(self.seen.saturating_sub(offset)).unwrap_or(usize::MAX);
        let new = bytes.get(known..).unwrap_or_default();
        if self.proof.as_ref().is_some_and(Proof::is_given) {
            self.verifier = None;
        }
        if let Some(verifier) = &mut self.verifier {
            verifier.update(new)?;
        }
        self.seen += new.len() as u64;
        if self.seen == self.size
            && let Some(verifier) = self.verifier.take()
        {
            verifier.finish()?;
        }
        Ok(new.len() as u64)
    }
}

/// The check of a body, which whoever goes on where the body was cut takes over.
#[derive(Clone, Debug)]
pub(crate) struct SharedCheck(Arc<Mutex<Option<Check>>>);

impl SharedCheck {
    pub(crate) fn new(check: Check) -> Self {
        Self(Arc::new(Mutex::new(Some(check))))
    }

    /// Takes it from the body, which fails if it is still read: the connection that was cut may not have dropped it yet.
    pub(crate) fn take(&self) -> Option<Check> {
        self.lock().take()
    }

    /// Takes the next bytes of the body; none, and the check is another's.
    fn next(&self, bytes: &[u8]) -> Option<Result<u64, BlobError>> {
        self.lock().as_mut().map(|check| check.take(check.seen(), bytes))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Check>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a body of all of a blob. It fails before the last piece if `check` finds that the bytes are not what the blob's digest
/// says, so that the registry never has all of them.
pub(crate) fn body(
    blob: &Arc<dyn Blob>,
    check: &SharedCheck,
    pieces: usize,
    watcher: Watcher,
    cause: &Cause,
) -> Body {
    let (source, check, cause) = (blob.clone(), check.clone(), cause.clone());
    let pieces = owned_pieces(blob.clone(), pieces).map(move |piece| {
        let bytes = piece.map_err(|error| cause.set(error))?;
        let new = check.next(&bytes).ok_or("the upload goes on without this body")?;
        let new = new.map_err(|error| cause.set(damaged(source.as_ref(), error)))?;
        watcher(Step::Sent(new));
        Ok(Frame::data(bytes))
    });
    StreamBody::new(pieces).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, media_type::MediaType};

    #[test]
    fn what_is_read_again_is_checked_once() {
        let blob = |said: &str| Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(said), 6);
        let mut check = Check::new(&blob("abcdef"));
        let reads: [(u64, &[u8]); 4] = [(0, b"abc"), (0, b"abc"), (1, b"bcde"), (5, b"f")];
        let new: Vec<_> = reads.iter().map(|(offset, bytes)| check.take(*offset, bytes).unwrap()).collect();
        assert_eq!((new, check.seen()), (vec![3, 0, 2, 1], 6));
        let mut check = Check::new(&blob("abcdeg"));
        check.take(0, b"abcde").unwrap();
        assert!(matches!(check.take(5, b"f"), Err(BlobError::Digest { .. })));
    }
}
