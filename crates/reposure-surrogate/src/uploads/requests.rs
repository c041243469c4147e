//! The requests about an upload that hold no bytes of the blob.

use std::sync::Arc;

use http::StatusCode;
use reposure_parcel::{
    limits::{COMMIT_TICK, SILENCE},
    problem::{Code, Problem},
    upload::{Commit, Progress, Range, Window},
};
use tokio::time::Instant;

use super::{Uploads, upload::Outcome};
use crate::{
    answer::{self, Answer},
    identifier::Identifier,
};

impl Uploads {
    /// Answers how far an upload is, as soon as the client can go on.
    pub(crate) async fn progress(&self, id: &Identifier) -> Result<Answer, Problem> {
        let upload = match self.find(id) {
            Ok(upload) => upload,
            Err(problem) => return self.stored(id).map(|received| complete(id, received)).ok_or(problem),
        };
        let _busy = upload.begin();
        let progress = upload.progress_with_credit(Instant::now() + SILENCE).await?;
        Ok(answer::json(StatusCode::OK, &progress))
    }

    /// Answers [`Commit`].
    pub(crate) async fn commit(self: &Arc<Self>, id: &Identifier, wish: &Commit) -> Result<Answer, Problem> {
        let upload = match self.find(id) {
            Ok(upload) => upload,
            Err(problem) => {
                return committed(self.ended(id).map_or(Err(problem), |ended| ended.outcome), wish);
            }
        };
        let _busy = upload.begin();
        let deadline = Instant::now() + COMMIT_TICK;
        if !upload.sealed_by(wish, deadline).await? {
            return Ok(answer::json(StatusCode::ACCEPTED, &upload.progress()));
        }
        self.start(&upload);
        match upload.outcome(deadline).await {
            None => Ok(answer::json(StatusCode::ACCEPTED, &upload.progress())),
            Some(outcome) => {
                // The failure is told now.
                self.ended(id);
                committed(outcome, wish)
            }
        }
    }

    /// Drops one client's lease, and the upload with the last one.
    pub(crate) fn cancel(&self, id: &Identifier) -> Answer {
        if let Ok(upload) = self.find(id)
            && upload.leave()
        {
            self.end(&upload, Err(Problem::new(Code::NotFound, format!("upload {id} was cancelled"))));
            self.ended(id);
        }
        answer::empty(StatusCode::NO_CONTENT)
    }
}

fn committed(outcome: Outcome, wish: &Commit) -> Result<Answer, Problem> {
    let stored = outcome?;
    if stored.digest == wish.digest {
        Ok(answer::json(StatusCode::CREATED, &stored))
    } else {
        Err(Problem::new(Code::Conflict, format!("the upload was committed as {}", stored.digest)))
    }
}

/// Answers that all bytes of an upload were received.
pub(super) fn complete(id: &Identifier, received: Range) -> Answer {
    let window = Window { from: received.end, bytes: 0 };
    let received = if received.end > 0 { vec![received] } else { Vec::new() };
    answer::json(
        StatusCode::OK,
        &Progress { id: id.to_string(), received, window, resume: None, ticket: None },
    )
}
