//! One upload: what arrived, what may come, and what the registry said.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use reposure_oci::{Digest, RepositoryName};
use reposure_parcel::{
    limits::CHUNK,
    problem::{Code, Problem},
    upload::{Commit, Progress, Range, Stored, Window},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    assembly::{Assembly, Stretch},
    budget::Account,
    pool::Pool,
};
use crate::{identifier::Identifier, upstream::blobs::Location};

/// How long a registry may take no bytes while there are some.
const TAKE_DEADLINE: Duration = Duration::from_secs(120);
/// How long a registry may take to store a blob after its last byte: some copy it between buckets then.
const ANSWER_DEADLINE: Duration = Duration::from_secs(900);

/// What makes two opened uploads the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) repository: RepositoryName,
    pub(super) digest: Option<Digest>,
    pub(super) client: Option<String>,
}

/// What came of an upload.
pub(super) type Outcome = Result<Stored, Problem>;

/// What is to be done with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Its bytes are to be read.
    Receive,
    /// Its bytes are here already.
    Duplicate,
}

/// One upload.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: Identifier,
    pub(super) key: Key,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    assembly: Assembly,
    account: Option<Account>,
    digest: Option<Digest>,
    size: Option<u64>,
    /// The upload at the registry, where one is open already.
    location: Option<Location>,
    leases: usize,
    shared: bool,
    busy: usize,
    touched: Instant,
    /// When bytes last left.
    moved: Instant,
    feeder: Option<Waker>,
    outcome: Option<Outcome>,
    task: Option<AbortOnDropHandle<()>>,
}

/// A request that is being answered; the upload is not idle as long as there is one.
#[derive(Debug)]
pub(super) struct Busy(Arc<Upload>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy -= 1;
        state.touched = Instant::now();
    }
}

impl Upload {
    pub(super) fn new(key: Key, size: Option<u64>, account: Account, pool: Arc<Pool>) -> Self {
        let now = Instant::now();
        let state = State {
            assembly: Assembly::new(pool),
            account: Some(account),
            digest: key.digest.clone(),
            size,
            location: None,
            leases: 1,
            shared: false,
            busy: 0,
            touched: now,
            moved: now,
            feeder: None,
            outcome: None,
            task: None,
        };
        Self { id: Identifier::random(), key, state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the upload as in use.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.lock().busy += 1;
        Busy(self.clone())
    }

    /// Adds a lease, of a client that opened the upload under the same digest.
    pub(super) fn join(&self, size: Option<u64>) -> Result<(), Problem> {
        let mut state = self.lock();
        state.agree_on_size(size)?;
        state.leases += 1;
        state.shared = true;
        state.touched = Instant::now();
        Ok(())
    }

    /// Drops a lease and tells whether it was the last one.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.lock();
        state.leases = state.leases.saturating_sub(1);
        state.leases == 0
    }

    /// Keeps an upload that the registry has opened, for [`Upload::take_location`].
    pub(super) fn set_location(&self, location: Location) {
        self.lock().location = Some(location);
    }

    pub(super) fn take_location(&self) -> Option<Location> {
        self.lock().location.take()
    }

    /// Starts the task that sends the bytes on, unless there is one or the upload has ended.
    pub(super) fn start(&self, spawn: impl FnOnce() -> AbortOnDropHandle<()>) {
        let mut state = self.lock();
        if state.task.is_none() && state.outcome.is_none() {
            state.moved = Instant::now();
            state.task = Some(spawn());
        }
    }

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
        Ok(())
    }

    /// Fixes digest and size. Nothing more may come after it, so nothing may be missing.
    pub(super) fn seal(&self, commit: &Commit) -> Result<(), Problem> {
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
        Ok(())
    }

    /// Returns digest and size where both are known.
    pub(super) fn identity(&self) -> Option<(Digest, u64)> {
        let state = self.lock();
        state.digest.clone().zip(state.size)
    }

    /// Waits for [`Upload::seal`].
    pub(super) async fn sealed(&self) -> (Digest, u64) {
        loop {
            let changed = self.changed.notified();
            if let Some(identity) = self.identity() {
                return identity;
            }
            changed.await;
        }
    }

    /// Tells whether other clients send to the upload too.
    pub(super) fn is_shared(&self) -> bool {
        self.lock().shared
    }

    /// Ends the upload: wakes who waits, gives its memory back, and ends its task.
    pub(super) fn end(&self, outcome: Outcome) {
        let mut state = self.lock();
        if state.outcome.is_some() {
            return;
        }
        state.outcome = Some(outcome);
        state.assembly.clear();
        let account = state.account.take();
        let (task, feeder) = (state.task.take(), state.feeder.take());
        drop(state);
        drop((account, task));
        feeder.into_iter().for_each(Waker::wake);
        self.changed.notify_waiters();
    }

    /// Waits for the outcome, for `patience`.
    pub(super) async fn outcome(&self, patience: Duration) -> Option<Outcome> {
        let deadline = Instant::now() + patience;
        loop {
            let changed = self.changed.notified();
            if let Some(outcome) = self.lock().outcome.clone() {
                return Some(outcome);
            }
            timeout_at(deadline, changed).await.ok()?;
        }
    }

    /// Tells whether no client has been heard of for `age`.
    pub(super) fn is_idle(&self, age: Duration) -> bool {
        let state = self.lock();
        state.busy == 0 && state.touched.elapsed() >= age
    }

    /// Tells whether the registry takes nothing, or does not answer after it took all, for too long.
    pub(super) fn is_stuck(&self) -> bool {
        let state = self.lock();
        let patience = if state.assembly.is_ready(state.size) {
            TAKE_DEADLINE
        } else if state.size == Some(state.assembly.taken()) {
            ANSWER_DEADLINE
        } else {
            return false;
        };
        state.task.is_some() && state.moved.elapsed() >= patience
    }

    /// Takes the next bytes for the registry; none when all were taken.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Stretch, Problem>>> {
        let mut state = self.lock();
        if let Some(Err(problem)) = &state.outcome {
            return Poll::Ready(Some(Err(problem.clone())));
        }
        let size = state.size;
        if let Some(stretch) = state.assembly.take(size) {
            state.moved = Instant::now();
            return Poll::Ready(Some(Ok(stretch)));
        }
        if size == Some(state.assembly.taken()) {
            return Poll::Ready(None);
        }
        state.feeder = Some(context.waker().clone());
        Poll::Pending
    }

    /// Notes that bytes that were taken have left memory.
    pub(super) fn release(&self, bytes: u64) {
        let mut state = self.lock();
        let Some(account) = &mut state.account else { return };
        account.release(bytes);
        state.moved = Instant::now();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Makes bytes that give their place back when they are dropped.
    pub(super) fn leaving(self: &Arc<Self>, stretch: Stretch) -> Bytes {
        struct Leaving {
            stretch: Stretch,
            upload: Arc<Upload>,
        }
        impl AsRef<[u8]> for Leaving {
            fn as_ref(&self) -> &[u8] {
                self.stretch.as_ref()
            }
        }
        impl Drop for Leaving {
            fn drop(&mut self) {
                self.upload.release(self.stretch.as_ref().len() as u64);
            }
        }
        Bytes::from_owner(Leaving { stretch, upload: self.clone() })
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

    fn agree_on_size(&mut self, new: Option<u64>) -> Result<(), Problem> {
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
