//! One blob: opened, sent in chunks, committed; begun again where it was lost.

use std::{future::Future, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use reposure_oci::Blob;
use reposure_parcel::{
    problem::Code,
    upload::{Commit, EARLY_COMMIT, How, Open, Stored},
    wire,
};
use tokio::time::Instant;

use super::{
    Context, PushError, ahead, check, chunks, lost::Lost, resumption::Resumption, under_way::UnderWay, whole,
};
use crate::{
    progress::Event,
    retry::Backoff,
    session::{Opened, SessionError},
};

/// How often an upload begins anew without getting further than it ever was, though bytes arrive: enough for surrogates that
/// are replaced one after the other, and an end to a registry that refuses the blob each time.
const RESTARTS: u32 = 5;
/// After how many of these it begins at its start, and not with what the registry has of it.
const RESUMPTIONS: u32 = 2;
/// How long a surrogate may say that it has no room: others push, and it gives places by turns.
const CROWDED_LIMIT: Duration = Duration::from_secs(1800);
/// How long a surrogate may say that the registry has not stored a blob yet. It has 64 MiB left to send by then, and gives a
/// registry that is silent up much earlier.
const COMMIT_LIMIT: Duration = Duration::from_secs(1800);

/// What came of one try.
enum Attempt {
    /// The registry has the blob.
    Stored(How),
    /// The upload was lost on the way.
    Lost {
        /// What happened.
        lost: Lost,
        /// How many bytes arrived in this try.
        arrived: u64,
        /// How many were there then, with those of earlier tries.
        there: u64,
    },
}

/// How far the tries of one blob got.
#[derive(Debug, Default)]
struct Reach {
    furthest: u64,
    restarts: u32,
}

impl Reach {
    /// Takes what came of a try, and tells whether patience begins anew.
    const fn is_progress(&mut self, arrived: u64, there: u64) -> bool {
        if there > self.furthest {
            *self = Self { furthest: there, restarts: 0 };
            return true;
        }
        if arrived > 0 {
            self.restarts = self.restarts.saturating_add(1);
        }
        arrived > 0 && self.restarts <= RESTARTS
    }
}

/// Brings a blob into the registry.
///
/// # Errors
/// When it cannot be read, is corrupt, is refused, or the surrogate stays away for longer than the push's patience.
pub(super) async fn upload(context: &Context, part: usize, blob: &Arc<dyn Blob>) -> Result<How, PushError> {
    // From a first failure on: places in flight may be waited for longer.
    let mut backoff: Option<Backoff> = None;
    let mut reach = Reach::default();
    if whole::is_small(context, blob.descriptor()) {
        match whole::send(context, part, blob).await? {
            Ok(stored) => return confirmed(blob, stored).await,
            Err(Lost { error, since }) => {
                let backoff = backoff.insert(Backoff::since(since, context.patience));
                if error.retry_after().is_some() {
                    backoff.heed(error.retry_after());
                    backoff.pause().await;
                }
            }
        }
    }
    let mut crowded = None;
    let resumption = Resumption::default();
    loop {
        let (Lost { error, since }, arrived, there) = match attempt(context, part, blob, &resumption).await? {
            Attempt::Stored(how) => return Ok(how),
            Attempt::Lost { lost, arrived, there } => (lost, arrived, there),
        };
        // What arrived did so before that.
        let anew = Backoff::since(since, context.patience);
        let backoff = if reach.is_progress(arrived, there) {
            backoff.insert(anew)
        } else {
            backoff.get_or_insert(anew)
        };
        if reach.restarts >= RESUMPTIONS {
            resumption.forget();
        }
        resumption.lost(&error);
        context.progress.send(Event::Retrying { problem: error.to_string() });
        context.progress.send(Event::Restarted { part });
        // Whoever has others before him in a queue is as far as he can be.
        crowded = crowded.or(Some(Instant::now())).filter(|_| error.code() == Some(Code::TooManyUploads));
        if crowded.is_some_and(|since| since.elapsed() < CROWDED_LIMIT) {
            backoff.progress();
        }
        backoff.heed(error.retry_after());
        if !may_return(&error) || !backoff.pause().await {
            return Err(refused(context, blob, error).await);
        }
    }
}

/// Says why a blob does not come into the registry. It may be the only one that hashes what is sent; where it refuses the bytes, the
/// source may be to blame.
async fn refused(context: &Context, blob: &Arc<dyn Blob>, error: SessionError) -> PushError {
    if matches!(error.code(), Some(Code::DigestMismatch | Code::UpstreamRefused))
        && let Err(corrupt) = check::again(blob).await
    {
        return corrupt;
    }
    context.refused(blob, error)
}

/// An upload that a new surrogate does not know starts again, and so does what is transient.
fn may_return(error: &SessionError) -> bool {
    error.is_transient() || matches!(error.code(), Some(Code::NotFound | Code::TooManyUploads | Code::Ending))
}

async fn attempt(
    context: &Context,
    part: usize,
    blob: &Arc<dyn Blob>,
    resumption: &Resumption,
) -> Result<Attempt, PushError> {
    let wish = Open { resume: resumption.get(), ..ahead::upload(&context.repository, blob.descriptor()) };
    let opened = match context.session.open_upload(&wish).await {
        Ok(Opened::Stored(stored)) => return Ok(Attempt::Stored(stored.how)),
        Ok(Opened::Upload(progress)) => progress,
        Err(error) => return Ok(Attempt::Lost { lost: error.into(), arrived: 0, there: 0 }),
    };
    let id = opened.id.clone();
    let lengths = opened.received.iter().map(|range| range.end.saturating_sub(range.start));
    let before = lengths.fold(0_u64, u64::saturating_add);
    let under_way = Arc::new(UnderWay::new(context.session.hello().can(EARLY_COMMIT)));
    let commit = Box::pin(commit(context, blob, &id, &under_way));
    match chunks::send(context, part, blob, opened, resumption, &under_way, commit).await {
        Ok(stored) => confirmed(blob, stored).await.map(Attempt::Stored),
        Err(chunks::ChunksError::Lost(lost)) => {
            let arrived = under_way.arrived();
            Ok(Attempt::Lost { lost, arrived, there: before.saturating_add(arrived) })
        }
        Err(chunks::ChunksError::Push(error)) => {
            cancel(context, &id).await;
            Err(error)
        }
    }
}

/// Makes sure that the registry has stored what it was given.
async fn confirmed(blob: &Arc<dyn Blob>, stored: Stored) -> Result<How, PushError> {
    let expected = &blob.descriptor().digest;
    if stored.digest == *expected {
        return Ok(stored.how);
    }
    check::again(blob).await?;
    Err(PushError::StoredOther { expected: expected.clone(), found: stored.digest })
}

/// Asks for the registry's confirmation, as often as the surrogate says that there is none yet; also while some of the bytes are
/// on their way.
pub(super) async fn commit(
    context: &Context,
    blob: &Arc<dyn Blob>,
    id: &str,
    under_way: &UnderWay,
) -> Result<Stored, Lost> {
    let descriptor = blob.descriptor();
    let path = format!("{}/{id}/commit", wire::UPLOADS);
    let (mut backoff, began) = (Backoff::new(context.patience), Instant::now());
    loop {
        let early = under_way.may_be_early();
        let message = Commit { digest: descriptor.digest.clone(), size: descriptor.size, early };
        match context.session.call(Method::POST, &path, Some(&message)).await {
            Ok(answer) if answer.status == StatusCode::ACCEPTED && began.elapsed() >= COMMIT_LIMIT => {
                return Err(SessionError::Timeout { path, waited: COMMIT_LIMIT }.into());
            }
            // The surrogate holds each question back for some seconds, and gives up on a silent registry by itself.
            Ok(answer) if answer.status == StatusCode::ACCEPTED => backoff.progress(),
            Ok(answer) => return Ok(answer.parse(&path)?),
            Err(error) if error.code().is_none() && error.is_transient() => {
                if !backoff.pause().await {
                    return Err(Lost { error, since: backoff.began() });
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives an upload up, so that its place is free at once; it ends by itself where this does not arrive.
async fn cancel(context: &Context, id: &str) {
    let path = format!("{}/{id}/cancel", wire::UPLOADS);
    let _ = context.session.call::<()>(Method::POST, &path, None).await;
}

/// Calls again what failed on the way, as long as the push's patience lasts.
///
/// # Errors
/// The last failure.
pub(super) async fn patiently<T, F: Future<Output = Result<T, SessionError>>>(
    context: &Context,
    call: impl Fn() -> F,
) -> Result<T, SessionError> {
    let mut backoff = Backoff::new(context.patience());
    loop {
        match call().await {
            Err(error) if error.is_transient() => {
                context.progress.send(Event::Retrying { problem: error.to_string() });
                backoff.heed(error.retry_after());
                if !backoff.pause().await {
                    return Err(error);
                }
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_begins_anew_while_an_upload_gets_further() {
        let mut reach = Reach::default();
        assert!((1..100).all(|there| reach.is_progress(1, there)));
        assert!(!reach.is_progress(0, 0), "the link is down");
    }

    #[test]
    fn a_blob_that_is_refused_each_time_is_given_up() {
        let mut reach = Reach::default();
        let tries = (0..1000).take_while(|_| reach.is_progress(10, 10)).count();
        assert_eq!(tries, 1 + RESTARTS as usize);
        assert!(reach.is_progress(5, 11), "it got further after all");
    }
}
