//! The task of one upload that brings its bytes to the registry.

use std::sync::Arc;

use http::StatusCode;
use reposure_oci::{
    Digest,
    registry::{Error, Proof, Session},
};
use reposure_parcel::{
    limits::CHUNK,
    problem::{Code, Problem},
    upload::{How, Stored},
};
use tokio::runtime::Handle;

use super::{
    body_limit::Objection,
    feed,
    form::{Form, Forms},
    pool::SEGMENT,
    prepared::Prepared,
    upload::Upload,
};
use crate::{
    answer,
    upstream::{Client, refusal},
};

/// The longest pieces of a blob of unknown size, in bytes. Such a piece waits until all of it is there, so half of what each
/// upload has for itself is left for the chunk that completes it.
const LONGEST_UNSIZED: u64 = CHUNK / 2;

/// Sends the bytes as they come and returns what the registry made of them. Beside a large blob it is asked whether it checks digests.
pub(super) async fn deliver(
    upload: Arc<Upload>,
    registry: Client,
    prepared: &Prepared,
    forms: &Forms,
    proof: &Proof,
) -> Result<Stored, Problem> {
    let (session, was_prepared) =
        open(&upload, &registry, prepared).await.map_err(|error| refusal::of(&error))?;
    upload.note_place(&session);
    let is_resumed = session.offset() > 0;
    let (key, asked) = (upload.key.clone(), registry.clone());
    let known = key.digest.zip(upload.size());
    let proof = known.is_some_and(|(digest, size)| Proof::is_worthwhile(&digest, size)).then_some(proof);
    let mut open = OpenAtRegistry { registry, session, upload, is_resumed, was_prepared, is_over: false };
    let outcome = Proof::beside(proof, &asked, &key.repository, open.bring(forms)).await;
    if was_prepared && outcome.as_ref().is_err_and(|problem| problem.code == Code::NotFound) {
        prepared.forget(&open.upload.key.repository);
    }
    // What is cut off may go on there, for a client that comes back.
    if outcome.as_ref().is_err_and(|problem| !problem.transient) {
        open.cancel();
    }
    open.is_over = true;
    outcome.map(|digest| Stored { digest, how: How::Uploaded })
}

/// Opens the upload at the registry, unless that has been done; tells whether it was for no blob in particular.
async fn open(upload: &Upload, registry: &Client, prepared: &Prepared) -> Result<(Session, bool), Error> {
    if let Some(session) = upload.take_session() {
        return Ok((session, false));
    }
    let repository = &upload.key.repository;
    match prepared.take(repository).await? {
        Some(session) => Ok((session, true)),
        None => registry.start_upload(repository).await.map(|session| (session, false)),
    }
}

/// Tells clients that the upload is lost, and what for. The bytes that left are not kept, so they have to come again.
fn begin_again(error: &Error, how: &str) -> Problem {
    let message = format!("{}; the blob is to be sent again{how}", answer::chain(error));
    let problem = Problem::new(Code::NotFound, message);
    match error.status() {
        Some(status) => problem.with_upstream_status(status.as_u16()),
        None => problem,
    }
}

/// An upload that is open at the registry. When this is dropped before it is over, because clients have given it up, it is cancelled
/// there; when the surrogate ends, it stays, for the next one to go on with.
struct OpenAtRegistry {
    registry: Client,
    session: Session,
    upload: Arc<Upload>,
    /// Whether the registry had some of its bytes from an upload that was lost.
    is_resumed: bool,
    /// Whether it was opened before the blob was there.
    was_prepared: bool,
    is_over: bool,
}

impl OpenAtRegistry {
    /// Sends all and returns the digest of what is stored.
    async fn bring(&mut self, forms: &Forms) -> Result<Digest, Problem> {
        match self.send(forms).await? {
            Some(digest) => Ok(digest),
            None => self.finish().await.map_err(|error| self.refusal(&error)),
        }
    }

    /// Sends all in the form that the registry takes, as far as that is known; returns the digest if it is stored then.
    async fn send(&mut self, forms: &Forms) -> Result<Option<Digest>, Problem> {
        let size = self.upload.size();
        let form = forms.form(size);
        let sent = match form {
            // What is left goes in one request too, but another one has to store it.
            Form::Whole if self.is_resumed => self.send_pieces(u64::MAX).await.map(|()| None),
            Form::Whole => self.send_whole().await,
            Form::Stream => self.send_stream().await.map(|()| None),
            Form::Pieces(length) => self.send_pieces(length).await.map(|()| None),
        };
        sent.map_err(|error| {
            let taken = self.session.offset();
            // Of an upload that was lost it need not be the pieces that are wrong.
            let objection =
                Objection::of(&error).filter(|about| !self.is_resumed || *about == Objection::Size);
            match objection {
                None => self.refusal(&error),
                Some(objection) if forms.learn(objection, form, size, taken) => begin_again(&error, ""),
                Some(_) => forms.explain(self.refusal(&error)),
            }
        })
    }

    /// Tells what an error means. What the registry had of a lost upload may have been the reason, so that the blob gets a fresh one.
    fn refusal(&self, error: &Error) -> Problem {
        if self.is_resumed && !error.is_transient() {
            begin_again(error, " from its start")
        } else if self.was_prepared && error.status() == Some(StatusCode::NOT_FOUND) {
            // The registry has lost it since, as when it was started anew.
            begin_again(error, "")
        } else {
            refusal::of(error)
        }
    }

    /// Sends all in one request, which stores it too where digest and size are known.
    async fn send_whole(&mut self) -> Result<Option<Digest>, Error> {
        if let Some((digest, size)) = self.upload.identity() {
            let body = feed::body(self.upload.clone(), Some(size));
            let session = self.session.clone();
            return self.registry.finish_monolithic(session, &digest, size, body).await.map(Some);
        }
        self.send_stream().await.map(|()| None)
    }

    /// Sends all in one `PATCH` whose length is not said: docker's own form, which needs neither digest nor size at first.
    async fn send_stream(&mut self) -> Result<(), Error> {
        let body = feed::body(self.upload.clone(), None);
        self.registry.patch_stream(&mut self.session, body).await.map(drop)
    }

    /// Sends all in pieces of `length` bytes, or as many as the registry wants at least. They are streamed, so that a piece may
    /// be longer than what there is memory for.
    async fn send_pieces(&mut self, length: u64) -> Result<(), Error> {
        let length = if self.upload.size().is_none() { length.min(LONGEST_UNSIZED) } else { length };
        let smallest = self.session.smallest_chunk().unwrap_or(0);
        // One that wants more than there are numbers is sent all at once.
        let length = length.max(smallest.checked_next_multiple_of(SEGMENT as u64).unwrap_or(u64::MAX));
        while let Some(piece) = self.upload.next_piece(length).await {
            let body = feed::body(self.upload.clone(), Some(piece));
            self.registry.patch_piece(&mut self.session, piece, body).await?;
            self.upload.note_place(&self.session);
        }
        Ok(())
    }

    /// Ends an upload whose bytes were all sent.
    async fn finish(&self) -> Result<Digest, Error> {
        let (digest, size) = self.upload.sealed().await;
        self.registry.finish_upload(self.session.clone(), &digest, size).await
    }

    fn cancel(&self) {
        cancel(self.registry.clone(), self.session.clone());
    }
}

impl Drop for OpenAtRegistry {
    fn drop(&mut self) {
        let is_given_up = || matches!(&self.upload.lock().outcome, Some(Err(problem)) if !problem.transient);
        if !self.is_over && is_given_up() {
            self.cancel();
        }
    }
}

/// Cancels an upload at the registry, in a task that has a deadline. What comes of it does not matter: registries purge what is
/// left in time.
pub(super) fn cancel(registry: Client, session: Session) {
    // There is no runtime any more when the process ends.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move { cancelled(&registry, session).await });
    }
}

/// Cancels an upload at the registry, within the deadline of its client.
pub(super) async fn cancelled(registry: &Client, session: Session) {
    if let Err(error) = registry.cancel_upload(session).await {
        tracing::debug!(error = answer::chain(&error), "an upload stays open at the registry");
    }
}
