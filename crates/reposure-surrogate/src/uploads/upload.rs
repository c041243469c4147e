//! One upload: what arrived, what may come, and what the registry said.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use reposure_oci::{Digest, RepositoryName, registry::Session};
use reposure_parcel::{
    problem::Problem,
    upload::{Resume, Stored},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    assembly::Assembly,
    budget::{Account, Budget},
    pool::Pool,
};
use crate::identifier::Identifier;

/// What makes two opened uploads the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) repository: RepositoryName,
    pub(super) digest: Option<Digest>,
    pub(super) client: Option<String>,
}

/// What came of an upload.
pub(super) type Outcome = Result<Stored, Problem>;

/// One upload.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: Identifier,
    pub(super) key: Key,
    /// How many places it takes until its end.
    pub(super) places: usize,
    state: Mutex<State>,
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) assembly: Assembly,
    pub(super) account: Option<Account>,
    place: Option<OwnedSemaphorePermit>,
    pub(super) digest: Option<Digest>,
    pub(super) size: Option<u64>,
    /// The upload at the registry, where one is open already.
    session: Option<Session>,
    /// What to open the upload with once more.
    pub(super) resume: Option<Resume>,
    leases: usize,
    shared: bool,
    busy: usize,
    touched: Instant,
    pub(super) feeder: Option<Waker>,
    pub(super) outcome: Option<Outcome>,
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
    /// Makes an upload, in the one that is open at the registry, if there is one.
    pub(super) fn new(
        key: Key,
        size: Option<u64>,
        budget: &Budget,
        pool: Arc<Pool>,
        session: Option<Session>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let (now, places) = (Instant::now(), place.num_permits());
        let offset = session.as_ref().map_or(0, Session::offset);
        let state = State {
            assembly: Assembly::starting_at(pool, offset),
            account: Some(budget.open(size, offset)),
            place: Some(place),
            digest: key.digest.clone(),
            size,
            session,
            resume: None,
            leases: 1,
            shared: false,
            busy: 0,
            touched: now,
            feeder: None,
            outcome: None,
            task: None,
        };
        let id = Identifier::random();
        Self { id, key, places, state: Mutex::new(state), changed: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
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

    /// Takes the upload that is open at the registry already.
    pub(super) fn take_session(&self) -> Option<Session> {
        self.lock().session.take()
    }

    /// Notes where the upload is at the registry, for clients that lose this surrogate.
    pub(super) fn note_place(&self, session: &Session) {
        let mut state = self.lock();
        // Without these nobody could tell that what the registry has belongs to the blob.
        if state.digest.is_some() && state.size.is_some() {
            state.resume = session.place().map(|place| Resume(place.into()));
        }
    }

    /// Returns the blob's size in bytes, if it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.lock().size
    }

    /// Starts the task that sends the bytes on, unless there is one or the upload has ended.
    pub(super) fn start(&self, spawn: impl FnOnce() -> AbortOnDropHandle<()>) {
        let mut state = self.lock();
        if state.task.is_none() && state.outcome.is_none() {
            state.task = Some(spawn());
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
        let (account, place) = (state.account.take(), state.place.take());
        let (task, feeder) = (state.task.take(), state.feeder.take());
        drop(state);
        // The place comes free when its memory has.
        drop((account, task));
        drop(place);
        feeder.into_iter().for_each(Waker::wake);
        self.changed.notify_waiters();
    }

    /// Waits for the outcome until `deadline`.
    pub(super) async fn outcome(&self, deadline: Instant) -> Option<Outcome> {
        loop {
            let changed = self.changed.notified();
            if let Some(outcome) = self.lock().outcome.clone() {
                return Some(outcome);
            }
            timeout_at(deadline, changed).await.ok()?;
        }
    }

    /// Returns for how long no client has been heard of until `now`; none if one is being answered.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        let state = self.lock();
        (state.busy == 0).then(|| now.saturating_duration_since(state.touched))
    }
}
