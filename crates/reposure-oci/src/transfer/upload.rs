//! One blob of a push.

use std::sync::Arc;

use super::{
    error::PushError,
    progress::{Event, How},
    push::Context,
};
use crate::{
    blob::Blob,
    digest::Digest,
    registry::{Error, Failure, Step, Stored, Storing, Watcher},
    transport::Transport,
};

/// Brings a blob into the registry, and tells how it came there.
pub(super) async fn store<T: Transport>(
    context: &Context<T>,
    part: usize,
    blob: &Arc<dyn Blob>,
) -> Result<How, PushError> {
    let progress = context.progress.clone();
    let watcher: Watcher = Arc::new(move |step| {
        progress.send(match step {
            Step::Sent(bytes) => Event::Advanced { part, bytes },
            Step::Failed(problem) => Event::Retrying { problem },
            Step::Restarted => Event::Restarted { part },
        });
    });
    let (from, strategy, pieces) =
        (context.options.mount_from.as_slice(), context.options.strategy, context.options.pieces);
    let storing = Storing { from, strategy, pieces, proof: Some(&context.proof), watcher };
    match context.client.store_blob_by(&context.repository, blob, storing).await {
        Ok(Stored::Existed) => Ok(How::Existed),
        Ok(Stored::Mounted) => Ok(How::Mounted),
        Ok(Stored::Sent(_)) => Ok(How::Uploaded),
        Err(error) => Err(of_source_or_registry(blob.descriptor().digest.clone(), error)),
    }
}

/// Tells apart which side is to blame.
fn of_source_or_registry(digest: Digest, error: Error) -> PushError {
    let Error { operation, asked, failure } = error;
    match *failure {
        Failure::Source(source) => PushError::Blob { digest, source },
        failure => {
            let source = Error { operation, asked, failure: failure.into() };
            PushError::Upload { digest, source }
        }
    }
}
