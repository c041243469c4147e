//! What is asked along with the hello.

use std::{
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::{Either, join_all, select};
use http::{Method, StatusCode};
use reposure_parcel::{
    exists::{Exists, Missing},
    upload::{Open, Progress as UploadProgress},
    wire,
};
use serde::Serialize;
use tokio::time::timeout;

use super::{Answer, SessionError, json, line::Line, request};
use crate::push::Ahead;

/// How long answers are waited for once the hello is there: what takes longer is asked again, patiently and with a word to the user.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long uploads are waited for once the other answer is there: they went at the same time, and take the registry no longer.
const GRACE: Duration = Duration::from_millis(100);

/// What came of that, for whoever asks it first.
#[derive(Debug, Default)]
pub(super) struct Early(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    missing: Option<(Exists, Missing)>,
    uploads: Vec<(Open, UploadProgress)>,
}

impl Early {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks what a push wants to know. What gets no answer now is asked again, later and patiently.
    ///
    /// # Cancel safety
    /// What was answered until then is kept.
    pub(super) async fn ask(&self, line: &Line, ahead: Option<&Ahead>) {
        let Some(ahead) = ahead else { return };
        let opened = join_all(ahead.uploads().iter().map(|wish| self.open(line, wish)));
        match select(pin!(self.exists(line, &ahead.question)), pin!(opened)).await {
            // Who waits for a place there does so once it is known that one is needed.
            Either::Left(((), opened)) => drop(timeout(GRACE, opened).await),
            Either::Right((_, exists)) => exists.await,
        }
    }

    async fn exists(&self, line: &Line, question: &Exists) {
        if question.digests.is_empty() {
            return;
        }
        if let Some(Ok(missing)) =
            ask(line, wire::EXISTS, question).await.map(|answer| answer.parse(wire::EXISTS))
        {
            self.lock().missing = Some((question.clone(), missing));
        }
    }

    async fn open(&self, line: &Line, wish: &Open) {
        let answer =
            ask(line, wire::UPLOADS, wish).await.filter(|answer| answer.status == StatusCode::CREATED);
        if let Some(Ok(progress)) = answer.map(|answer| answer.parse(wire::UPLOADS)) {
            self.lock().uploads.push((wish.clone(), progress));
        }
    }

    /// Returns the answer to a question, once.
    pub(super) fn missing(&self, question: &Exists) -> Option<Missing> {
        self.lock().missing.take_if(|(asked, _)| asked == question).map(|(_, missing)| missing)
    }

    /// Returns the upload that was opened so, once.
    pub(super) fn upload(&self, wish: &Open) -> Option<UploadProgress> {
        let mut answers = self.lock();
        let found = answers.uploads.iter().position(|(asked, _)| asked == wish)?;
        Some(answers.uploads.swap_remove(found).1)
    }
}

/// Asks once.
async fn ask<T: Serialize>(line: &Line, path: &str, message: &T) -> Option<Answer> {
    let answered = exchange(line, path, message).await;
    answered.inspect_err(|error| tracing::debug!(%error, "not asked early")).ok()
}

async fn exchange<T: Serialize>(line: &Line, path: &str, message: &T) -> Result<Answer, SessionError> {
    line.ask_once(request(Method::POST, path, "application/json", json(path, Some(message))?)?, path).await
}
