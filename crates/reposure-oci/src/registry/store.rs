//! A blob from a source into a repository: looked for, mounted, or sent, in the form that the registry takes.

use std::{ops::Range, sync::Arc};

use futures::stream;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::{
    client::Client,
    error::{Error, Failure},
    operation::{Action, Operation},
    retry::Retry,
    session::{Mount, Session},
    strategy::UploadStrategy,
};
use crate::{
    blob::Blob,
    name::RepositoryName,
    transport::{Body, BoxError, Transport},
};

/// How much of a source is read at once, in bytes.
const PIECE: u64 = 1 << 20;
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

impl<T: Transport> Client<T> {
    /// Brings a blob into a repository: not at all if it is there, by a mount from one of `from` if that is possible, else by
    /// sending it.
    ///
    /// The source is read again where sending fails. A registry that does not take the form of `strategy`, or has other bytes
    /// than were sent, is sent the whole by one PUT. Where that is too large for it, chunks are tried.
    ///
    /// # Errors
    /// When the registry refuses the blob in every form, or the source cannot be read.
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
        let descriptor = blob.descriptor();
        match self.head_blob(repository, &descriptor.digest).await? {
            Some(size) if size == descriptor.size => return Ok(Stored::Existed),
            Some(size) => {
                let operation = Operation::on(Action::HeadBlob, repository, &descriptor.digest);
                let failure = Failure::Size { expected: descriptor.size, actual: Some(size) };
                return Err(Error::new(&operation, failure));
            }
            None => {}
        }
        let upload = BlobUpload { client: self, repository, blob };
        match upload.mount(from).await? {
            Mount::Mounted => Ok(Stored::Mounted),
            Mount::Open(session) => upload.send(session, strategy).await.map(Stored::Sent),
        }
    }
}

struct BlobUpload<'a, T> {
    client: &'a Client<T>,
    repository: &'a RepositoryName,
    blob: &'a Arc<dyn Blob>,
}

impl<T: Transport> BlobUpload<'_, T> {
    /// Mounts the blob or opens an upload.
    async fn mount(&self, from: &[RepositoryName]) -> Result<Mount, Error> {
        let digest = &self.blob.descriptor().digest;
        for from in from.iter().filter(|from| *from != self.repository) {
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

    async fn send(&self, session: Session, strategy: UploadStrategy) -> Result<UploadStrategy, Error> {
        let sent = match strategy {
            UploadStrategy::Monolithic => return self.whole(Some(session)).await,
            UploadStrategy::StreamPatch => self.streamed(session.clone()).await,
            UploadStrategy::Resumable { chunk } => self.chunked(session.clone(), chunk).await,
        };
        match sent {
            Ok(()) => Ok(strategy),
            Err(error) if error.is_denied() || matches!(*error.failure, Failure::Source(_)) => Err(error),
            Err(error) => {
                tracing::debug!(%error, cause = %error.failure, "the blob is sent by one PUT instead");
                self.client.give_up(session).await;
                self.whole(None).await
            }
        }
    }

    /// Sends all by one PUT, again and again while that may help.
    async fn whole(&self, mut session: Option<Session>) -> Result<UploadStrategy, Error> {
        let (digest, size) = (&self.blob.descriptor().digest, self.blob.descriptor().size);
        let mut retry = Retry::new(self.client.limits());
        loop {
            let open = match session.take() {
                Some(open) => open,
                None => self.client.start_upload(self.repository).await?,
            };
            let body = body(self.blob, 0..size);
            match self.client.finish_monolithic(open.clone(), digest, size, body).await {
                Ok(_) => return Ok(UploadStrategy::Monolithic),
                Err(error) if error.is_too_large() => return self.after_too_large(error).await,
                Err(error) => {
                    retry.pause(error).await?;
                    self.client.give_up(open).await;
                }
            }
        }
    }

    /// Tries chunks, where something on the way takes no body of the blob's size.
    async fn after_too_large(&self, error: Error) -> Result<UploadStrategy, Error> {
        for chunk in SMALL_CHUNKS.into_iter().filter(|chunk| *chunk < self.blob.descriptor().size) {
            let session = self.client.start_upload(self.repository).await?;
            match self.chunked(session.clone(), chunk).await {
                Ok(()) => return Ok(UploadStrategy::Resumable { chunk }),
                Err(again) => {
                    tracing::debug!(error = %again, cause = %again.failure, chunk, "chunks do not go either");
                    self.client.give_up(session).await;
                }
            }
        }
        Err(error)
    }

    async fn streamed(&self, mut session: Session) -> Result<(), Error> {
        let (digest, size) = (&self.blob.descriptor().digest, self.blob.descriptor().size);
        self.client.patch_stream(&mut session, body(self.blob, 0..size)).await?;
        self.client.finish_upload(session, digest, size).await.map(drop)
    }

    /// Sends chunks, and goes on where the registry is after one that was cut.
    async fn chunked(&self, mut session: Session, chunk: u64) -> Result<(), Error> {
        let (digest, size) = (&self.blob.descriptor().digest, self.blob.descriptor().size);
        let chunk = chunk.max(session.smallest_chunk().unwrap_or(0)).max(1);
        let mut retry = Retry::new(self.client.limits());
        while session.offset() < size {
            let start = session.offset();
            let bytes = self.read(start, chunk.min(size - start)).await?;
            match self.client.patch_chunk(&mut session, bytes).await {
                Ok(()) => retry = Retry::new(self.client.limits()),
                // Out of order: an answer was lost, and the registry is further than it is known here.
                Err(error) if error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE) => {
                    if self.client.upload_status(&mut session).await? <= start {
                        return Err(error);
                    }
                }
                Err(error) => {
                    retry.pause(error).await?;
                    self.client.upload_status(&mut session).await?;
                }
            }
            if session.offset() > size {
                let operation = Operation::on(Action::Upload, self.repository, digest);
                let failure = Failure::Received { sent: size, received: session.offset() };
                return Err(Error::new(&operation, failure));
            }
        }
        self.client.finish_upload(session, digest, size).await.map(drop)
    }

    async fn read(&self, offset: u64, length: u64) -> Result<bytes::Bytes, Error> {
        // A chunk is held in memory, so it is shorter than that.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.blob.read_at(offset, length).await.map_err(|source| {
            let operation = Operation::on(Action::Upload, self.repository, &self.blob.descriptor().digest);
            Error::new(&operation, Failure::Source(source))
        })
    }
}

/// Reads a stretch of a blob as it is sent.
fn body(blob: &Arc<dyn Blob>, range: Range<u64>) -> Body {
    let pieces = stream::try_unfold((blob.clone(), range), async |(blob, range)| {
        if range.is_empty() {
            return Ok(None);
        }
        let end = range.end.min(range.start.saturating_add(PIECE));
        let length = usize::try_from(end - range.start).unwrap_or(usize::MAX);
        let bytes = blob.read_at(range.start, length).await?;
        Ok::<_, BoxError>(Some((Frame::data(bytes), (blob, end..range.end))))
    });
    StreamBody::new(pieces).boxed_unsync()
}
