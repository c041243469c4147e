//! A blob from a source into a repository: looked for, mounted, or sent, in the form that the registry takes.

use std::{fmt, mem, sync::Arc};

use super::{
    client::Client,
    error::{Error, Failure},
    operation::{Action, Operation},
    proof::Proof,
    session::{Mount, Session},
    source::{Cause, Check, SharedCheck, body},
    strategy::{CHUNK, UploadStrategy},
};
use crate::{
    blob::{self, Blob, BlobError, PIECES, Verifier, damaged},
    name::RepositoryName,
    transport::{Body, Transport},
};

/// The sizes of chunks in bytes that are tried where a body was too large: nginx takes 1 MiB as it comes.
const SMALL_CHUNKS: [u64; 2] = [4 << 20, 1 << 20];

/// What it took to bring a blob into a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing: it was there.
    Existed,
    /// It was mounted from another repository.
    Mounted,
    /// It was sent, in this form in the end.
    Sent(UploadStrategy),
}

/// How far a blob is on its way into a repository.
#[derive(Debug)]
pub(crate) enum Step {
    /// So many bytes more of the source were read and handed on.
    Sent(u64),
    /// This went wrong, and sending goes on or starts again.
    Failed(String),
    /// It starts again from the blob's beginning.
    Restarted,
}

/// Who is told of the steps.
pub(crate) type Watcher = Arc<dyn Fn(Step) + Send + Sync>;

/// How a blob is brought into a repository.
#[derive(Clone)]
pub(crate) struct Storing<'a> {
    /// The repositories that it may be mounted from.
    pub(crate) from: &'a [RepositoryName],
    /// The form in which it is sent first; none for the one that the registry is known to take, and to go on in chunks after a cut.
    pub(crate) strategy: Option<UploadStrategy>,
    /// How many pieces of the source are read at once.
    pub(crate) pieces: usize,
    /// Whether the registry checks digests too, where that may be asked.
    pub(crate) proof: Option<&'a Proof>,
    pub(crate) watcher: Watcher,
}

impl fmt::Debug for Storing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Storing");
        let shown = shown.field("from", &self.from).field("strategy", &self.strategy);
        shown.field("pieces", &self.pieces).finish_non_exhaustive()
    }
}

impl<T: Transport> Client<T> {
    /// Brings a blob into a repository: not at all if it is there, by a mount from one of `from` if that is possible, else by
    /// sending it.
    ///
    /// The source is read again where sending fails. A registry that does not take the form of `strategy`, or has other bytes
    /// than were sent, is sent the whole by one PUT. Where that is too large for it, chunks are tried. The last bytes are sent
    /// only once all of them have proved to be what the blob's digest says.
    ///
    /// # Errors
    /// When the registry refuses the blob in every form, or has it in another size; [`Failure::Source`] when the source cannot be
    /// read, or holds other bytes.
    ///
    /// # Cancel safety
    /// As [`Self::upload_monolithic`].
    pub async fn store_blob(
        &self,
        repository: &RepositoryName,
        blob: &Arc<dyn Blob>,
        from: &[RepositoryName],
        strategy: UploadStrategy,
    ) -> Result<Stored, Error> {
        let watcher: Watcher = Arc::new(drop);
        let storing = Storing { from, strategy: Some(strategy), pieces: PIECES, proof: None, watcher };
        self.store_blob_by(repository, blob, storing).await
    }

    /// As [`Self::store_blob`].
    pub(crate) async fn store_blob_by(
        &self,
        repository: &RepositoryName,
        blob: &Arc<dyn Blob>,
        storing: Storing<'_>,
    ) -> Result<Stored, Error> {
        if self.has_blob(repository, blob.descriptor()).await? {
            return Ok(Stored::Existed);
        }
        let upload = BlobUpload { client: self, repository, blob, storing };
        upload.check_empty()?;
        match upload.mount().await? {
            Mount::Mounted => Ok(Stored::Mounted),
            Mount::Open(session) => upload.send(session).await.map(Stored::Sent),
        }
    }
}

pub(super) struct BlobUpload<'a, T> {
    pub(super) client: &'a Client<T>,
    pub(super) repository: &'a RepositoryName,
    pub(super) blob: &'a Arc<dyn Blob>,
    pub(super) storing: Storing<'a>,
}

impl<T: Transport> BlobUpload<'_, T> {
    /// Checks a blob that has no last byte to be held back.
    fn check_empty(&self) -> Result<(), Error> {
        let descriptor = self.blob.descriptor();
        let checked = if descriptor.size == 0 { Verifier::new(descriptor).finish() } else { Ok(()) };
        checked.map_err(|error| self.error(Failure::Source(damaged(self.blob.as_ref(), error))))
    }

    /// Mounts the blob or opens an upload.
    async fn mount(&self) -> Result<Mount, Error> {
        let digest = &self.blob.descriptor().digest;
        for from in self.storing.from.iter().filter(|from| *from != self.repository) {
            match self.client.mount(self.repository, digest, from).await {
                // A registry that opens an upload instead would do so for each repository.
                Ok(mount) => return Ok(mount),
                Err(error) => tracing::debug!(%error, cause = %error.failure, "not mounted"),
            }
        }
        match self.client.mount_from_anywhere(self.repository, digest).await {
            Ok(mount) => Ok(mount),
            // Quay refuses this.
            Err(_) => self.client.start_upload(self.repository).await.map(Mount::Open),
        }
    }

    /// Returns the form in which the blob is sent first.
    fn first_form(&self) -> UploadStrategy {
        let known = || self.client.known_strategy().filter(|_| self.blob.descriptor().size > CHUNK);
        self.storing.strategy.or_else(known).unwrap_or(UploadStrategy::Monolithic)
    }

    async fn send(&self, session: Session) -> Result<UploadStrategy, Error> {
        let strategy = self.first_form();
        let sent = match strategy {
            UploadStrategy::Monolithic => return self.whole(Some(session)).await,
            UploadStrategy::StreamPatch => self.streamed(session.clone()).await,
            UploadStrategy::Resumable { chunk } => {
                self.chunked(session.clone(), chunk, self.check(None)).await
            }
        };
        match sent {
            Ok(()) => Ok(strategy),
            Err(error) if error.is_final() => Err(error),
            Err(error) => {
                tracing::debug!(%error, cause = %error.failure, "the blob is sent by one PUT instead");
                self.restart(problem(&error));
                self.client.give_up(session).await;
                self.whole(None).await
            }
        }
    }

    /// Sends all by one PUT, again and again while that may help, or goes on in chunks after the first cut.
    async fn whole(&self, mut session: Option<Session>) -> Result<UploadStrategy, Error> {
        let (digest, size) = (&self.blob.descriptor().digest, self.blob.descriptor().size);
        let (mut retry, mut resumes) = (self.client.retry(), self.may_resume());
        let mut proof = self.storing.proof.filter(|_| Proof::is_worthwhile(digest, size));
        loop {
            let open = match session.take() {
                Some(open) => open,
                None => self.client.start_upload(self.repository).await?,
            };
            let (cause, check) = (Cause::default(), SharedCheck::new(self.check(proof)));
            let body = self.body(&check, &cause);
            let sending = self.client.finish_monolithic(open.clone(), digest, size, body);
            let sent = Proof::beside(proof, self.client, self.repository, sending).await;
            match self.or_cause(sent, &cause) {
                Ok(_) => return Ok(UploadStrategy::Monolithic),
                Err(error) if error.is_too_large() => {
                    self.client.give_up(open).await;
                    return self.after_too_large(error).await;
                }
                Err(error) => {
                    let problem = problem(&error);
                    if proof.take().is_some() {
                        self.check_refused(&error).await?;
                    }
                    let resumes = mem::take(&mut resumes);
                    if resumes {
                        // The PUT may have taken longer than anything is tried.
                        retry = self.client.retry();
                    }
                    retry.pause(error).await?;
                    (self.storing.watcher)(Step::Failed(problem));
                    // It may be the answer alone that was lost.
                    if self.client.has_blob(self.repository, self.blob.descriptor()).await? {
                        self.client.give_up(open).await;
                        return Ok(UploadStrategy::Monolithic);
                    }
                    if resumes && Box::pin(self.resume(open.clone(), &check)).await? {
                        return Ok(UploadStrategy::Resumable { chunk: CHUNK });
                    }
                    self.client.give_up(open).await;
                    (self.storing.watcher)(Step::Restarted);
                }
            }
        }
    }

    /// Tries chunks, where something on the way takes no body of the blob's size.
    async fn after_too_large(&self, error: Error) -> Result<UploadStrategy, Error> {
        for chunk in SMALL_CHUNKS.into_iter().filter(|chunk| *chunk < self.blob.descriptor().size) {
            self.restart(problem(&error));
            let session = self.client.start_upload(self.repository).await?;
            match self.chunked(session.clone(), chunk, self.check(None)).await {
                Ok(()) => return Ok(UploadStrategy::Resumable { chunk }),
                Err(error) if matches!(*error.failure, Failure::Source(_)) => return Err(error),
                Err(again) => {
                    tracing::debug!(error = %again, cause = %again.failure, chunk, "chunks do not go either");
                    self.client.give_up(session).await;
                }
            }
        }
        Err(error)
    }

    fn restart(&self, problem: String) {
        (self.storing.watcher)(Step::Failed(problem));
        (self.storing.watcher)(Step::Restarted);
    }

    async fn streamed(&self, mut session: Session) -> Result<(), Error> {
        let (digest, size) = (&self.blob.descriptor().digest, self.blob.descriptor().size);
        let cause = Cause::default();
        let body = self.body(&SharedCheck::new(self.check(None)), &cause);
        let sent = self.client.patch_stream(&mut session, body).await;
        self.or_cause(sent, &cause)?;
        self.client.finish_upload(session, digest, size).await.map(drop)
    }

    /// Where the registry alone may have checked the bytes, and refuses them: fails if they are wrong in the source already.
    ///
    /// What is sent again is checked here as well, so that other failures hide a damaged source but once.
    async fn check_refused(&self, error: &Error) -> Result<(), Error> {
        if error.is_denied() || !error.status().is_some_and(|status| status.is_client_error()) {
            return Ok(());
        }
        (self.storing.watcher)(Step::Failed(problem(error)));
        match blob::verify(self.blob.as_ref()).await {
            Err(source @ (BlobError::Damaged { .. } | BlobError::Size { .. } | BlobError::Digest { .. })) => {
                Err(self.error(Failure::Source(source)))
            }
            Err(error) => {
                tracing::debug!(%error, "the source cannot be looked at");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn check(&self, proof: Option<&Proof>) -> Check {
        let blob = self.blob.descriptor();
        proof.map_or_else(|| Check::new(blob), |proof| Check::until(blob, proof.clone()))
    }

    fn body(&self, check: &SharedCheck, cause: &Cause) -> Body {
        body(self.blob, check, self.storing.pieces, self.storing.watcher.clone(), cause)
    }

    /// Puts what is wrong with the source, if anything is, before what came of it.
    fn or_cause<R>(&self, sent: Result<R, Error>, cause: &Cause) -> Result<R, Error> {
        cause.take().map_or(sent, |source| Err(self.error(Failure::Source(source))))
    }

    pub(super) fn error(&self, failure: Failure) -> Error {
        let operation = Operation::on(Action::Upload, self.repository, &self.blob.descriptor().digest);
        Error::new(&operation, failure)
    }
}

pub(super) fn problem(error: &Error) -> String {
    format!("{error}: {}", error.failure)
}
