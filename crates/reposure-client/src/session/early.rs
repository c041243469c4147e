//! A question that is asked along with the hello.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::Method;
use reposure_parcel::{
    exists::{Exists, Missing},
    wire,
};

use super::{Answer, JSON_ANSWER, SessionError, answer, collect, json, line::Line, request};

/// How long the answer is waited for once the hello is there: what takes longer is asked again, patiently and with a word to the user.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What came of a question that was asked along with the hello, for whoever asks it first.
#[derive(Debug, Default)]
pub(super) struct Early(Mutex<Option<(Exists, Missing)>>);

impl Early {
    /// Asks a question, if there is one. It is asked again, later and patiently, where it gets no answer now.
    pub(super) async fn ask(line: &Line, question: Option<&Exists>) -> Self {
        let Some(question) = question.filter(|question| !question.digests.is_empty()) else {
            return Self::default();
        };
        let answered =
            exists(line, question).await.inspect_err(|error| tracing::debug!(%error, "not asked early"));
        Self(Mutex::new(answered.ok().map(|missing| (question.clone(), missing))))
    }

    /// Returns the answer to a question, once.
    pub(super) fn take(&self, question: &Exists) -> Option<Missing> {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.take_if(|(asked, _)| asked == question).map(|(_, missing)| missing)
    }
}

async fn exists(line: &Line, question: &Exists) -> Result<Missing, SessionError> {
    let asked = request(Method::POST, wire::EXISTS, "application/json", json(wire::EXISTS, Some(question))?)?;
    let response = line.exchange(asked).await?;
    let response = answer::checked(response, line.channel.as_ref(), wire::EXISTS).await?;
    let status = response.status();
    let bytes = collect(response.into_body(), wire::EXISTS, JSON_ANSWER).await?;
    // One that takes longer is none of this.
    Answer { status, bytes }.parse(wire::EXISTS)
}
