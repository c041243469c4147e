//! The side of an upload that clients see: what may come, what came, and when nothing more does.

use std::task::Waker;

use reposure_parcel::{
    limits::CHUNK,
    problem::{Code, Problem},
    upload::{Commit, Progress, Range, Window},
};
use tokio::time::{Instant, timeout_at};

use super::{
    budget::Account,
    upload::{State, Upload},
};

/// What is to be done with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Its bytes are to be read.
    Receive,
    /// Its bytes are here already.
    Duplicate,
}

impl Upload {
    /// Returns how far the upload is, with as much credit as there is.
    pub(super) fn progress(&self) -> Progress {
        let mut state = self.lock();
        let size = state.size;
        if let Some(account) = &mut state.account {
            account.grow(size);
        }
        Progress {
            id: self.id.to_string(),
            received: state.assembly.received().as_slice().to_vec(),
            window: state.window(),
            resume: state.resume.clone(),
            ticket: None,
        }
    }

    /// Returns how far the upload is, as soon as a whole chunk may come, and at `deadline` at the latest.
    pub(super) async fn progress_with_credit(&self, deadline: Instant) -> Result<Progress, Problem> {
        loop {
            let changed = self.changed.notified();
            let progress = self.progress();
            if let Some(outcome) = self.lock().outcome.clone() {
                return outcome.map(|_| progress);
            }
            if self.lock().is_satisfied(progress.window) || timeout_at(deadline, changed).await.is_err() {
                return Ok(self.progress());
            }
        }
    }

    /// Decides on a chunk.
    pub(super) fn admit(&self, chunk: Range) -> Result<Admission, Problem> {
        let state = self.lock();
        if state.assembly.received().contains(chunk) {
            return Ok(Admission::Duplicate);
        }
        state.check_open()?;
        if state.size.is_some_and(|size| chunk.end > size) {
            let message = format!("bytes {} to {} are outside of the blob's size", chunk.start, chunk.end);
            return Err(Problem::new(Code::DigestMismatch, message));
        }
        let window = state.window();
        if chunk.end > window.from + window.bytes {
            let message = format!("bytes {} to {} are outside of the window", chunk.start, chunk.end);
            return Err(Problem::new(Code::OutsideWindow, message).transient());
        }
        Ok(Admission::Receive)
    }

    /// Takes bytes of an admitted chunk.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Problem> {
        let mut state = self.lock();
        state.check_open()?;
        state
            .assembly
            .write(offset, bytes)
            .map_err(|error| Problem::new(Code::BadRequest, error.to_string()))?;
        if state.assembly.is_ready(state.size)
            && let Some(feeder) = state.feeder.take()
        {
            feeder.wake();
        }
        let is_complete = state.size == Some(state.assembly.received().prefix());
        drop(state);
        if is_complete {
            // A commit may have come before.
            self.changed.notify_waiters();
        }
        Ok(())
    }

    /// Fixes digest and size, as soon as there is an end to wait for.
    ///
    /// Returns whether there is: all bytes were received, or the upload has ended. If not, some are on their way, as the commit says.
    pub(super) async fn sealed_by(&self, commit: &Commit, deadline: Instant) -> Result<bool, Problem> {
        loop {
            let changed = self.changed.notified();
            if self.lock().outcome.is_some() || self.seal(commit)? {
                return Ok(true);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Ok(false);
            }
        }
    }

    /// Fixes digest and size. Nothing more may come after it, so nothing may be missing; tells whether it is so, where a client says that
    /// some may be.
    fn seal(&self, commit: &Commit) -> Result<bool, Problem> {
        let mut state = self.lock();
        if state.digest.as_ref().is_some_and(|digest| *digest != commit.digest) {
            let message = format!("the upload is of another blob than {}", commit.digest);
            return Err(Problem::new(Code::Conflict, message));
        }
        let received = state.assembly.received();
        if received.end() > commit.size {
            let message = format!("{} bytes were received, not {}", received.end(), commit.size);
            return Err(Problem::new(Code::DigestMismatch, message));
        }
        if received.prefix() < commit.size && commit.early {
            return state.agree_on_size(Some(commit.size)).map(|()| false);
        }
        if received.prefix() < commit.size {
            let message = format!("the byte at {} was not received", received.prefix());
            return Err(Problem::new(Code::Conflict, message).transient());
        }
        state.agree_on_size(Some(commit.size))?;
        state.digest = Some(commit.digest.clone());
        let feeder = state.feeder.take();
        drop(state);
        feeder.into_iter().for_each(Waker::wake);
        self.changed.notify_waiters();
        Ok(true)
    }
}

impl State {
    fn check_open(&self) -> Result<(), Problem> {
        match &self.outcome {
            None => Ok(()),
            Some(Err(problem)) => Err(problem.clone()),
            Some(Ok(_)) => Err(Problem::new(Code::Conflict, "the upload is committed")),
        }
    }

    pub(super) fn agree_on_size(&mut self, new: Option<u64>) -> Result<(), Problem> {
        match (self.size, new) {
            (Some(size), Some(new)) if size != new => {
                Err(Problem::new(Code::DigestMismatch, format!("the blob has {size} bytes, not {new}")))
            }
            _ => {
                self.size = self.size.or(new);
                Ok(())
            }
        }
    }

    fn window(&self) -> Window {
        let from = self.assembly.received().prefix();
        let granted = self.account.as_ref().map_or(from, Account::granted);
        Window { from, bytes: granted.saturating_sub(from) }
    }

    /// Tells whether a client with this window can go on.
    fn is_satisfied(&self, window: Window) -> bool {
        let left = self.size.map_or(u64::MAX, |size| size.saturating_sub(window.from));
        window.bytes >= left.min(CHUNK)
    }
}
