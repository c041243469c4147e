//! The task of one upload that brings its bytes to the registry.

use std::sync::Arc;

use reposure_oci::{
    Digest,
    registry::{Error, Session},
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
    upload::Upload,
};
use crate::{
    answer,
    upstream::{Client, refusal},
};

/// The longest pieces of a blob of unknown size, in bytes. Such a piece waits until all of it is there, so half of what each
/// upload has for itself is left for the chunk that completes it.
const LONGEST_UNSIZED: u64 = CHUNK / 2;

/// Sends the bytes as they come and returns what the registry made of them.
pub(super) async fn deliver(upload: Arc<Upload>, registry: Client, forms: &Forms) -> Result<Stored, Problem> {
    let session = match upload.take_session() {
        Some(session) => Ok(session),
        None => registry.start_upload(&upload.key.repository).await,
    };
    let session = session.map_err(|error| refusal::of(&error))?;
    let mut open = OpenAtRegistry { registry, session, stored: false };
    let stored = match open.send(&upload, forms).await? {
        Some(digest) => Ok(digest),
        None => open.finish(&upload).await,
    };
    let digest = stored.map_err(|error| refusal::of(&error))?;
    open.stored = true;
    Ok(Stored { digest, how: How::Uploaded })
}

/// Tells clients that the upload is lost, and what for. The bytes that left are not kept, so they have to come again.
fn begin_again(error: &Error) -> Problem {
    let message = format!("{}; the blob is to be sent again", answer::chain(error));
    let problem = Problem::new(Code::NotFound, message);
    match error.status() {
        Some(status) => problem.with_upstream_status(status.as_u16()),
        None => problem,
    }
}

/// An upload that is open at the registry. It is cancelled there when this is dropped, unless the registry has stored it.
struct OpenAtRegistry {
    registry: Client,
    session: Session,
    stored: bool,
}

impl OpenAtRegistry {
    /// Sends all in the form that the registry takes, as far as that is known; returns the digest if it is stored then.
    async fn send(&mut self, upload: &Arc<Upload>, forms: &Forms) -> Result<Option<Digest>, Problem> {
        let form = forms.form(upload.size());
        let sent = match form {
            Form::Whole => self.send_whole(upload).await,
            Form::Stream => self.send_stream(upload).await.map(|()| None),
            Form::Pieces(length) => self.send_pieces(upload, length).await.map(|()| None),
        };
        sent.map_err(|error| {
            let taken = self.session.offset();
            match Objection::of(&error) {
                None => refusal::of(&error),
                Some(objection) if forms.learn(objection, form, upload.size(), taken) => begin_again(&error),
                Some(_) => forms.explain(refusal::of(&error)),
            }
        })
    }

    /// Sends all in one request, which stores it too where digest and size are known.
    async fn send_whole(&mut self, upload: &Arc<Upload>) -> Result<Option<Digest>, Error> {
        if let Some((digest, size)) = upload.identity() {
            let body = feed::body(upload.clone(), Some(size));
            let session = self.session.clone();
            return self.registry.finish_monolithic(session, &digest, size, body).await.map(Some);
        }
        self.send_stream(upload).await.map(|()| None)
    }

    /// Sends all in one `PATCH` whose length is not said: docker's own form, which needs neither digest nor size at first.
    async fn send_stream(&mut self, upload: &Arc<Upload>) -> Result<(), Error> {
        self.registry.patch_stream(&mut self.session, feed::body(upload.clone(), None)).await.map(drop)
    }

    /// Sends all in pieces of `length` bytes, or as many as the registry wants at least. They are streamed, so that a piece may
    /// be longer than what there is memory for.
    async fn send_pieces(&mut self, upload: &Arc<Upload>, length: u64) -> Result<(), Error> {
        let length = if upload.size().is_none() { length.min(LONGEST_UNSIZED) } else { length };
        let smallest = self.session.smallest_chunk().unwrap_or(0);
        // One that wants more than there are numbers is sent all at once.
        let length = length.max(smallest.checked_next_multiple_of(SEGMENT as u64).unwrap_or(u64::MAX));
        while let Some(piece) = upload.next_piece(length).await {
            let body = feed::body(upload.clone(), Some(piece));
            self.registry.patch_piece(&mut self.session, piece, body).await?;
        }
        Ok(())
    }

    /// Ends an upload whose bytes were all sent.
    async fn finish(&self, upload: &Upload) -> Result<Digest, Error> {
        let (digest, size) = upload.sealed().await;
        self.registry.finish_upload(self.session.clone(), &digest, size).await
    }
}

impl Drop for OpenAtRegistry {
    fn drop(&mut self) {
        if !self.stored {
            cancel(self.registry.clone(), self.session.clone());
        }
    }
}

/// Cancels an upload at the registry, in a task that has a deadline. What comes of it does not matter: registries purge what is
/// left in time.
pub(super) fn cancel(registry: Client, session: Session) {
    // There is no runtime any more when the process ends.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            if let Err(error) = registry.cancel_upload(session).await {
                tracing::debug!(error = answer::chain(&error), "an upload stays open at the registry");
            }
        });
    }
}
