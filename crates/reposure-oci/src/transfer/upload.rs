//! One blob: asked for, mounted, or sent.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::{
    error::PushError,
    progress::{Event, How},
    push::Context,
};
use crate::{
    blob::{Blob, BlobError, Verifier, damaged, owned_pieces},
    registry::{Error, Mount, Session},
    transport::{Body, BoxError, Transport},
};

/// What went wrong at the source, which an error of the exchange does not tell.
type Cause = Arc<Mutex<Option<BlobError>>>;

enum Failure {
    Source(BlobError),
    Registry(Error),
}

/// Brings a blob into the registry, and tells how it came there.
pub(super) async fn store<T: Transport>(
    context: &Context<T>,
    part: usize,
    blob: &Arc<dyn Blob>,
) -> Result<How, PushError> {
    let digest = || blob.descriptor().digest.clone();
    let mut retry = context.client.retry();
    loop {
        let error = match attempt(context, part, blob).await {
            Ok(how) => return Ok(how),
            Err(Failure::Source(source)) => return Err(PushError::Blob { digest: digest(), source }),
            Err(Failure::Registry(error)) => error,
        };
        let problem = format!("{error}: {}", error.failure);
        retry.pause(error).await.map_err(|source| PushError::Upload { digest: digest(), source })?;
        context.progress.send(Event::Retrying { problem });
        context.progress.send(Event::Restarted { part });
    }
}

async fn attempt<T: Transport>(
    context: &Context<T>,
    part: usize,
    blob: &Arc<dyn Blob>,
) -> Result<How, Failure> {
    let (client, repository, descriptor) = (&context.client, &context.repository, blob.descriptor());
    let there = client.head_blob(repository, &descriptor.digest).await.map_err(Failure::Registry)?;
    if there == Some(descriptor.size) {
        return Ok(How::Existed);
    }
    let session = match mount(context, blob.as_ref()).await {
        Some(Mount::Mounted) => return Ok(How::Mounted),
        Some(Mount::Open(session)) => session,
        None => client.start_upload(repository).await.map_err(Failure::Registry)?,
    };
    send(context, session, part, blob).await
}

/// Mounts the blob if that may be possible. A refusal, as of a repository that one may not read, is no error: the blob is sent.
async fn mount<T: Transport>(context: &Context<T>, blob: &dyn Blob) -> Option<Mount> {
    let from = context.mount_from.as_ref().filter(|from| **from != context.repository)?;
    context.client.mount(&context.repository, &blob.descriptor().digest, from).await.ok()
}

async fn send<T: Transport>(
    context: &Context<T>,
    session: Session,
    part: usize,
    blob: &Arc<dyn Blob>,
) -> Result<How, Failure> {
    let descriptor = blob.descriptor();
    let cause = Cause::default();
    let body = body(context, part, blob, &cause);
    let sent = context.client.finish_monolithic(session, &descriptor.digest, descriptor.size, body).await;
    match (sent, cause.lock().unwrap_or_else(PoisonError::into_inner).take()) {
        (_, Some(source)) => Err(Failure::Source(source)),
        (Err(error), None) => Err(Failure::Registry(error)),
        (Ok(_), None) => Ok(How::Uploaded),
    }
}

/// A body of the blob's bytes. It fails before its last piece if they are not what the blob's digest says, so that the
/// registry never has all of them.
fn body<T>(context: &Context<T>, part: usize, blob: &Arc<dyn Blob>, cause: &Cause) -> Body {
    let mut check = Check { verifier: Some(Verifier::new(blob.descriptor())), left: blob.descriptor().size };
    let (progress, cause, source) = (context.progress.clone(), cause.clone(), blob.clone());
    let pieces = owned_pieces(blob.clone()).map(Some);
    // An empty blob is checked too.
    let pieces = pieces.chain(stream::iter([None])).filter_map(move |piece| {
        let checked = check.take(piece);
        if let Some(Ok(bytes)) = &checked {
            progress.send(Event::Advanced { part, bytes: bytes.len() as u64 });
        }
        let failed = |error| {
            let error = damaged(source.as_ref(), error);
            *cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            BoxError::from("the source fails")
        };
        std::future::ready(checked.map(|checked| checked.map(Frame::data).map_err(failed)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

struct Check {
    /// None once it is finished.
    verifier: Option<Verifier>,
    left: u64,
}

impl Check {
    /// Takes the next piece, or the end.
    fn take(&mut self, piece: Option<Result<Bytes, BlobError>>) -> Option<Result<Bytes, BlobError>> {
        match piece {
            Some(Ok(bytes)) => Some(self.add(&bytes).map(|()| bytes)),
            Some(Err(error)) => Some(Err(error)),
            None => self.verifier.take().and_then(|verifier| verifier.finish().err()).map(Err),
        }
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let Some(mut verifier) = self.verifier.take() else { return Ok(()) };
        verifier.update(bytes)?;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        if self.left == 0 {
            return verifier.finish();
        }
        self.verifier = Some(verifier);
        Ok(())
    }
}
