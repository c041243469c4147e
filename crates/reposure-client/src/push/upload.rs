//! One blob: opened, sent in chunks, committed; begun again where it was lost.

use std::{future::Future, sync::Arc};

use http::{Method, StatusCode};
use reposure_oci::Blob;
use reposure_parcel::{
    problem::Code,
    upload::{Commit, How, Open, Progress as UploadProgress, Stored},
    wire,
};

use super::{Context, PATIENCE, PushError, chunks};
use crate::{progress::Event, retry::Backoff, session::SessionError};

/// What came of one try.
pub(super) enum Attempt {
    /// The registry has the blob.
    Stored(How),
    /// The upload was lost on the way; whether any byte of it arrived.
    Lost {
        /// What happened.
        error: SessionError,
        /// Whether bytes arrived.
        advanced: bool,
    },
}

/// Brings a blob into the registry.
///
/// # Errors
/// When it cannot be read, is corrupt, is refused, or the surrogate stays away for [`PATIENCE`].
pub(super) async fn upload(context: &Context, part: usize, blob: &Arc<dyn Blob>) -> Result<How, PushError> {
    let digest = &blob.descriptor().digest;
    let mut backoff = Backoff::new(PATIENCE);
    loop {
        let (error, advanced) = match attempt(context, part, blob).await? {
            Attempt::Stored(how) => return Ok(how),
            Attempt::Lost { error, advanced } => (error, advanced),
        };
        if advanced {
            backoff.progress();
        }
        context.progress.send(Event::Retrying { problem: error.to_string() });
        context.progress.send(Event::Restarted { part });
        if !may_return(&error) || !backoff.pause().await {
            return Err(PushError::Upload { digest: digest.clone(), source: error });
        }
    }
}

/// An upload that a new surrogate does not know starts again, and so does what is transient.
fn may_return(error: &SessionError) -> bool {
    error.is_transient() || matches!(error.code(), Some(Code::NotFound | Code::TooManyUploads | Code::Ending))
}

async fn attempt(context: &Context, part: usize, blob: &Arc<dyn Blob>) -> Result<Attempt, PushError> {
    let lost = |error, advanced| Ok(Attempt::Lost { error, advanced });
    let descriptor = blob.descriptor();
    let opened = match open(context, blob).await {
        Ok(Opened::Stored(stored)) => return Ok(Attempt::Stored(stored.how)),
        Ok(Opened::Progress(progress)) => progress,
        Err(error) => return lost(error, false),
    };
    let id = opened.id.clone();
    match chunks::send(context, part, blob, opened).await {
        Ok(()) => {}
        Err(chunks::ChunksError::Session { error, advanced }) => return lost(error, advanced),
        Err(chunks::ChunksError::Push(error)) => {
            cancel(context, &id).await;
            return Err(error);
        }
    }
    match commit(context, blob, &id).await {
        Ok(stored) if stored.digest == descriptor.digest => Ok(Attempt::Stored(stored.how)),
        Ok(stored) => {
            Err(PushError::StoredOther { expected: descriptor.digest.clone(), found: stored.digest })
        }
        Err(error) => lost(error, true),
    }
}

enum Opened {
    Stored(Stored),
    Progress(UploadProgress),
}

async fn open(context: &Context, blob: &Arc<dyn Blob>) -> Result<Opened, SessionError> {
    let descriptor = blob.descriptor();
    let wish = Open {
        repository: context.repository.clone(),
        digest: Some(descriptor.digest.clone()),
        size: Some(descriptor.size),
        key: None,
        from: Vec::new(),
    };
    let answer = context.session.call(Method::POST, wire::UPLOADS, Some(&wish)).await?;
    if answer.status == StatusCode::CREATED {
        answer.parse(wire::UPLOADS).map(Opened::Progress)
    } else {
        answer.parse(wire::UPLOADS).map(Opened::Stored)
    }
}

/// Asks for the registry's confirmation, as often as the surrogate says that there is none yet.
async fn commit(context: &Context, blob: &Arc<dyn Blob>, id: &str) -> Result<Stored, SessionError> {
    let descriptor = blob.descriptor();
    let path = format!("{}/{id}/commit", wire::UPLOADS);
    let message = Commit { digest: descriptor.digest.clone(), size: descriptor.size };
    let mut backoff = Backoff::new(PATIENCE);
    loop {
        match context.session.call(Method::POST, &path, Some(&message)).await {
            // The surrogate holds each question back for some seconds, and gives up on a silent registry by itself.
            Ok(answer) if answer.status == StatusCode::ACCEPTED => backoff.progress(),
            Ok(answer) => return answer.parse(&path),
            Err(error) if error.code().is_none() && error.is_transient() && backoff.pause().await => {}
            Err(error) => return Err(error),
        }
    }
}

/// Gives an upload up, so that its place is free at once; it ends by itself where this does not arrive.
async fn cancel(context: &Context, id: &str) {
    let path = format!("{}/{id}/cancel", wire::UPLOADS);
    let _ = context.session.call::<()>(Method::POST, &path, None).await;
}

/// Calls again what failed on the way, for [`PATIENCE`].
///
/// # Errors
/// The last failure.
pub(super) async fn patiently<T, F: Future<Output = Result<T, SessionError>>>(
    context: &Context,
    call: impl Fn() -> F,
) -> Result<T, SessionError> {
    let mut backoff = Backoff::new(PATIENCE);
    loop {
        match call().await {
            Err(error) if error.is_transient() => {
                context.progress.send(Event::Retrying { problem: error.to_string() });
                if !backoff.pause().await {
                    return Err(error);
                }
            }
            done => return done,
        }
    }
}
