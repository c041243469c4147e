//! A blob in chunks: from its start, or from where the registry is after a cut.

use bytes::Bytes;
use http::StatusCode;

use super::{
    error::{Error, Failure},
    session::Session,
    source::{Check, SharedCheck},
    store::{BlobUpload, Step, problem},
    strategy::{CHUNK, UploadStrategy},
};
use crate::{blob::damaged, transport::Transport};

impl<T: Transport> BlobUpload<'_, T> {
    /// Tells whether to go on in chunks after one PUT that was cut.
    ///
    /// One PUT costs least as long as nothing cuts it: chunks cost a round trip each, and are not read from the source while the one
    /// before is on its way. So chunks are for what a cut has left, if that is worth the questions. Whether a registry takes
    /// them is asked of the upload itself, unless the registry is known to take none.
    pub(super) fn may_resume(&self) -> bool {
        self.storing.strategy.is_none()
            && self.blob.descriptor().size > CHUNK
            && self.client.known_strategy() != Some(UploadStrategy::Monolithic)
    }

    /// Goes on with an upload whose PUT was cut, and tells whether that went; not with one that the registry has forgotten, as
    /// Distribution 2.8 has.
    ///
    /// # Errors
    /// For what no other form would make better.
    pub(super) async fn resume(&self, session: Session, check: &SharedCheck) -> Result<bool, Error> {
        let Some(check) = check.take() else { return Ok(false) };
        match self.rest(session, check).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_final() => Err(error),
            Err(error) => {
                tracing::debug!(%error, cause = %error.failure, "the upload cannot be gone on with");
                Ok(false)
            }
        }
    }

    async fn rest(&self, mut session: Session, check: Check) -> Result<(), Error> {
        session.touched = true;
        self.client.settled_upload_status(&mut session).await?;
        self.chunked(session, CHUNK, check).await
    }

    /// Sends chunks, and goes on where the registry is after one that was cut. `check` has seen all before the first one.
    pub(super) async fn chunked(
        &self,
        mut session: Session,
        chunk: u64,
        mut check: Check,
    ) -> Result<(), Error> {
        let (digest, size) = (&self.blob.descriptor().digest, self.blob.descriptor().size);
        let chunk = chunk.max(session.smallest_chunk().unwrap_or(0)).max(1);
        let mut retry = self.client.retry();
        loop {
            let start = session.offset();
            // What comes next is checked only if nothing is left out.
            if start > check.seen() {
                return Err(self.error(Failure::Received { sent: check.seen(), received: start }));
            }
            if start >= size {
                break;
            }
            let bytes = self.read(start, chunk.min(size - start), &mut check).await?;
            match self.client.patch_chunk(&mut session, bytes).await {
                Ok(()) => retry = self.client.retry(),
                // Out of order: an answer was lost, and the registry is further than it is known here.
                Err(error) if error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE) => {
                    if self.client.upload_status(&mut session).await? <= start {
                        return Err(error);
                    }
                }
                Err(error) => {
                    let problem = problem(&error);
                    retry.pause(error).await?;
                    (self.storing.watcher)(Step::Failed(problem));
                    self.client.settled_upload_status(&mut session).await?;
                }
            }
        }
        self.client.finish_upload(session, digest, size).await.map(drop)
    }

    /// Reads a chunk, and checks what was not read before.
    async fn read(&self, offset: u64, length: u64, check: &mut Check) -> Result<Bytes, Error> {
        // A chunk is held in memory, so it is shorter than that.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let read = self.blob.read_at(offset, length).await;
        let bytes = read.map_err(|source| self.error(Failure::Source(source)))?;
        let checked = check.take(offset, &bytes);
        let new =
            checked.map_err(|source| self.error(Failure::Source(damaged(self.blob.as_ref(), source))))?;
        (self.storing.watcher)(Step::Sent(new));
        Ok(bytes)
    }
}
