//! The uploads that are open, and what came of those that have ended.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reposure_oci::{
    Digest, RepositoryName,
    registry::{Proof, Session},
};
use reposure_parcel::{
    limits::{PLACES, RESULT_AGE, UPLOAD_AGE, places},
    problem::{Code, Problem},
    upload::Range,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    budget::Budget,
    delivery,
    form::Forms,
    lacking::Lacking,
    pool::Pool,
    prepared::Prepared,
    remembered::Remembered,
    upload::{Key, Outcome, Upload},
};
use crate::{identifier::Identifier, upstream::Client};

/// How long opening waits for another upload to end: within the silence that middle boxes bear.
const PLACE_DEADLINE: Duration = Duration::from_secs(5);
/// How long an upload that nobody sends to keeps its place where another one wants it: a client that was cut off comes back
/// earlier, and one that waits for a place gives up later.
const YIELD_AGE: Duration = Duration::from_secs(60);
/// The most uploads whose end is remembered.
const ENDED: usize = 4096;

/// An upload that has ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) received: Option<Range>,
    at: Instant,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<Identifier, Arc<Upload>>,
    ended: HashMap<Identifier, Ended>,
}

/// All uploads of a surrogate.
pub(crate) struct Uploads {
    pub(super) registry: Client,
    pub(super) remembered: Remembered,
    pub(super) lacking: Lacking,
    pub(super) prepared: Arc<Prepared>,
    pub(super) forms: Arc<Forms>,
    proof: Proof,
    table: Mutex<Table>,
    budget: Budget,
    pool: Arc<Pool>,
    places: Arc<Semaphore>,
    ended: Notify,
    ending: AtomicBool,
}

impl Uploads {
    /// Makes a table of uploads to a registry, of which so many at most are opened there before their blobs come.
    pub(crate) fn new(registry: Client, forms: Forms, budget: Budget, prepared: usize) -> Self {
        Self {
            prepared: Arc::new(Prepared::new(registry.clone(), prepared)),
            registry,
            remembered: Remembered::default(),
            lacking: Lacking::default(),
            forms: Arc::new(forms),
            proof: Proof::default(),
            table: Mutex::default(),
            budget,
            pool: Arc::default(),
            places: Arc::new(Semaphore::new(PLACES)),
            ended: Notify::new(),
            ending: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing can panic while it is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the repository holds a blob, as the registry has just said.
    pub(crate) fn note(&self, digest: &Digest, repository: &RepositoryName, is_there: bool) {
        if is_there {
            self.is_stored(digest, repository);
        } else {
            self.lacking.note(digest, repository);
            self.remembered.forget(digest, repository);
        }
    }

    /// Waits until the registry has confirmed all of these blobs, since it was last asked for them.
    ///
    /// # Errors
    /// When one of them does not come within `patience`.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub(crate) async fn confirmed(
        &self,
        blobs: &[Digest],
        repository: &RepositoryName,
        patience: Duration,
    ) -> Result<(), Problem> {
        timeout(patience, self.remembered.all(blobs, repository)).await.map_err(|_| {
            Problem::new(Code::UpstreamBusy, "the blobs of the manifest are not there yet").transient()
        })
    }

    /// Opens uploads at the registry for these blobs, so many of which are to be sent at once. What may be mounted needs none.
    pub(crate) fn prepare(&self, repository: &RepositoryName, missing: &[Digest], at_once: usize) {
        let is_elsewhere = |digest: &&Digest| !self.remembered.repositories(digest).is_empty();
        let count = missing.len() - missing.iter().filter(is_elsewhere).count();
        if !self.ending.load(Ordering::Relaxed) {
            self.prepared.prepare(repository, count.min(at_once));
        }
    }

    fn is_stored(&self, digest: &Digest, repository: &RepositoryName) {
        self.remembered.note(digest, repository);
        self.lacking.take(digest, repository);
    }

    /// Tells whether the registry has proved that it checks digests.
    pub(crate) fn are_checked(&self) -> bool {
        self.proof.is_given()
    }

    /// Returns how many uploads are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().open.len()
    }

    /// Opens no more uploads from now on.
    pub(crate) fn refuse_new(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Cancels what was opened at the registry for blobs that have not come, and waits until no upload is open.
    ///
    /// # Cancel safety
    /// Dropping the future ends no upload.
    pub(crate) async fn all_ended(&self) {
        self.prepared.close().await;
        loop {
            let ended = self.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Joins the open upload of the same key, if there is one.
    pub(super) fn join(&self, key: &Key, size: Option<u64>) -> Result<Option<Arc<Upload>>, Problem> {
        let table = self.lock();
        let Some(upload) = table.open.values().find(|upload| upload.key == *key) else { return Ok(None) };
        upload.join(size)?;
        Ok(Some(upload.clone()))
    }

    /// Opens an upload, or joins the one of the same key; waits a little for a place. A new one takes `session`, what is open at
    /// the registry.
    pub(super) async fn insert(
        &self,
        key: &Key,
        size: Option<u64>,
        session: &mut Option<Session>,
    ) -> Result<Arc<Upload>, Problem> {
        self.check_ending()?;
        if let Some(upload) = self.join(key, size)? {
            return Ok(upload);
        }
        let place = self.place(places(size)).await?;
        self.check_ending()?;
        self.insert_at(place, key, size, session)
    }

    fn check_ending(&self) -> Result<(), Problem> {
        if self.ending.load(Ordering::Relaxed) {
            return Err(Problem::new(Code::Ending, "the surrogate is ending").transient());
        }
        Ok(())
    }

    /// Waits a little for so many places. Who comes first gets them first, so that small blobs are not in the way of a large one.
    async fn place(&self, count: usize) -> Result<OwnedSemaphorePermit, Problem> {
        if self.places.available_permits() < count {
            self.make_room(YIELD_AGE, count);
        }
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        // It is never closed.
        let place = timeout(PLACE_DEADLINE, self.places.clone().acquire_many_owned(permits)).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            let message = format!("{} uploads are open, and there is no room for another", self.count());
            Problem::new(Code::TooManyUploads, message).transient()
        })
    }

    fn insert_at(
        &self,
        place: OwnedSemaphorePermit,
        key: &Key,
        size: Option<u64>,
        session: &mut Option<Session>,
    ) -> Result<Arc<Upload>, Problem> {
        let mut table = self.lock();
        // Another client may have come first.
        if let Some(upload) = table.open.values().find(|upload| upload.key == *key) {
            upload.join(size)?;
            return Ok(upload.clone());
        }
        let upload = Upload::new(key.clone(), size, &self.budget, self.pool.clone(), session.take(), place);
        let upload = Arc::new(upload);
        table.open.insert(upload.id.clone(), upload.clone());
        Ok(upload)
    }

    /// Ends the uploads that were idle longest, each for `age`, if that makes room for so many places.
    fn make_room(&self, age: Duration, count: usize) {
        let open: Vec<Arc<Upload>> = self.lock().open.values().cloned().collect();
        let now = Instant::now();
        let idle = open.iter().filter_map(|upload| Some((upload.idle(now)?, upload)));
        let mut idle: Vec<_> = idle.filter(|(idle, _)| *idle >= age).collect();
        idle.sort_by_key(|(idle, _)| Reverse(*idle));
        let mut wanted = count.saturating_sub(self.places.available_permits());
        let mut ended = Vec::new();
        for (_, upload) in idle {
            if wanted > 0 {
                wanted = wanted.saturating_sub(upload.places);
                ended.push(upload);
            }
        }
        if wanted > 0 {
            return;
        }
        for upload in ended {
            let message = "the upload was idle, and another took its place";
            self.end(upload, Err(Problem::new(Code::NotFound, message)));
        }
    }

    /// Returns an open upload; of one that has failed, the failure.
    pub(super) fn find(&self, id: &Identifier) -> Result<Arc<Upload>, Problem> {
        let table = self.lock();
        if let Some(upload) = table.open.get(id) {
            return Ok(upload.clone());
        }
        let failure = table.ended.get(id).and_then(|ended| ended.outcome.as_ref().err());
        let unknown = || Problem::new(Code::NotFound, format!("no upload {id} is open"));
        Err(failure.cloned().unwrap_or_else(unknown))
    }

    /// Returns what came of an upload that has ended, to one who commits. A failure is told so once: then the upload is
    /// unknown, and begun again.
    pub(super) fn ended(&self, id: &Identifier) -> Option<Ended> {
        let mut table = self.lock();
        let ended = table.ended.get(id).cloned()?;
        if ended.outcome.is_err() {
            table.ended.remove(id);
        }
        Some(ended)
    }

    /// Returns the bytes of an upload that the registry has stored.
    pub(super) fn stored(&self, id: &Identifier) -> Option<Range> {
        self.lock().ended.get(id).filter(|ended| ended.outcome.is_ok())?.received
    }

    /// Starts to send an upload's bytes on, unless that has begun.
    pub(super) fn start(self: &Arc<Self>, upload: &Arc<Upload>) {
        upload.start(|| {
            let (table, upload) = (Arc::downgrade(self), upload.clone());
            let (registry, forms, prepared) =
                (self.registry.clone(), self.forms.clone(), self.prepared.clone());
            let proof = self.proof.clone();
            AbortOnDropHandle::new(tokio::spawn(async move {
                let outcome = delivery::deliver(upload.clone(), registry, &prepared, &forms, &proof).await;
                if let Some(table) = table.upgrade() {
                    table.end(&upload, outcome);
                }
            }))
        });
    }

    /// Ends an upload, unless it has ended.
    pub(super) fn end(&self, upload: &Arc<Upload>, outcome: Outcome) {
        let outcome = outcome.map_err(|problem| {
            // The bytes may be another client's: who sends his own alone may succeed.
            let of_another = problem.code == Code::DigestMismatch && upload.is_shared();
            if of_another { problem.transient() } else { problem }
        });
        if let Ok(stored) = &outcome {
            self.is_stored(&stored.digest, &upload.key.repository);
        }
        let received = upload.identity().map(|(_, size)| Range { start: 0, end: size });
        let mut table = self.lock();
        if table.open.remove(&upload.id).is_none() {
            return;
        }
        if table.ended.len() < ENDED {
            let ended = Ended { outcome: outcome.clone(), received, at: Instant::now() };
            table.ended.insert(upload.id.clone(), ended);
        }
        drop(table);
        let may_go_on = outcome.as_ref().is_err_and(|problem| problem.transient);
        upload.end(outcome);
        if let Some(session) = upload.take_session()
            && !may_go_on
        {
            delivery::cancel(self.registry.clone(), session);
        }
        self.ended.notify_waiters();
    }

    /// Ends what is idle and forgets what is old; to be called every few seconds.
    pub(crate) fn sweep(&self) {
        self.sweep_at(Instant::now());
    }

    fn sweep_at(&self, now: Instant) {
        let open: Vec<Arc<Upload>> = self.lock().open.values().cloned().collect();
        for upload in &open {
            if upload.idle(now).is_some_and(|idle| idle >= UPLOAD_AGE) {
                let message = format!("nothing was sent for {} s", UPLOAD_AGE.as_secs());
                self.end(upload, Err(Problem::new(Code::NotFound, message)));
            }
        }
        self.lock().ended.retain(|_, ended| now.saturating_duration_since(ended.at) < RESULT_AGE);
        self.prepared.sweep();
        if open.is_empty() {
            self.pool.shrink();
        }
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        // A task holds its upload and the upload its task: ending the upload frees both.
        for (_, upload) in self.lock().open.drain() {
            upload.end(Err(Problem::new(Code::Ending, "the surrogate is ending").transient()));
        }
    }
}

#[cfg(test)]
mod tests {
    use reposure_oci::transport::{Body, Transport, TransportError};
    use reposure_parcel::config::UploadStrategy;

    use super::*;

    /// A registry that is never asked.
    #[derive(Debug)]
    struct Nowhere;

    impl Transport for Nowhere {
        fn send(
            &self,
            _: http::Request<Body>,
        ) -> futures::future::BoxFuture<'_, Result<http::Response<Body>, TransportError>> {
            Box::pin(std::future::pending())
        }
    }

    fn uploads() -> Uploads {
        let forms = Forms::new(UploadStrategy::Auto, "nowhere");
        Uploads::new(Client::new(Arc::new(Nowhere)), forms, Budget::new(), 0)
    }

    fn key(number: usize) -> Key {
        Key { repository: "a".parse().unwrap(), digest: None, client: Some(number.to_string()) }
    }

    #[tokio::test]
    async fn an_upload_that_nobody_sends_to_yields_its_place() {
        let uploads = uploads();
        let mut open = Vec::new();
        for number in 0..PLACES / places(None) {
            open.push(uploads.insert(&key(number), None, &mut None).await.unwrap());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(uploads.places.available_permits(), 0);
        let busy = open[0].begin();
        uploads.make_room(YIELD_AGE, 1);
        assert_eq!(uploads.count(), open.len(), "they were sent to just now");
        uploads.make_room(Duration::ZERO, PLACES);
        assert_eq!(uploads.count(), open.len(), "it would not be enough");
        uploads.make_room(Duration::ZERO, 1);
        drop(busy);
        assert!(uploads.find(&open[0].id).is_ok(), "it is sent to");
        assert_eq!(uploads.find(&open[1].id).unwrap_err().code, Code::NotFound);
        assert!(uploads.find(&open[2].id).is_ok(), "one was enough");
        uploads.insert(&key(PLACES), None, &mut None).await.unwrap();
    }

    #[tokio::test]
    async fn an_upload_is_kept_for_five_minutes_and_its_memory_no_longer() {
        const KEPT: Duration = Duration::from_secs(300);
        let uploads = uploads();
        let before = Instant::now();
        let upload = uploads.insert(&key(0), None, &mut None).await.unwrap();
        let credit = upload.progress().window.bytes;
        upload.write(0, b"the beginning").unwrap();
        let after = Instant::now();
        uploads.sweep_at(before + KEPT - Duration::from_secs(1));
        assert_eq!(uploads.find(&upload.id).unwrap().progress().received, [Range { start: 0, end: 13 }]);
        let busy = upload.begin();
        uploads.sweep_at(after + KEPT + Duration::from_secs(1));
        assert!(uploads.find(&upload.id).is_ok(), "it is sent to");
        drop(busy);
        let after = Instant::now();
        uploads.sweep_at(after + KEPT + Duration::from_secs(1));
        let Err(problem) = uploads.find(&upload.id) else { panic!("it is kept") };
        assert_eq!(problem.code, Code::NotFound);
        assert!(upload.lock().account.is_none(), "its credit is taken");
        assert_eq!(uploads.places.available_permits(), PLACES);
        assert_eq!(uploads.pool.free(), 1, "its segment is in use");
        let next = uploads.insert(&key(1), None, &mut None).await.unwrap();
        assert_eq!(next.progress().window.bytes, credit, "credit is missing");
        uploads.end(&next, Err(Problem::new(Code::NotFound, "done")));
        drop(next);
        uploads.sweep_at(after);
        assert_eq!(uploads.pool.free(), 0, "free memory is kept");
        // What came of it is told for as long.
        uploads.sweep_at(Instant::now() + KEPT + Duration::from_secs(1));
        assert!(uploads.lock().ended.is_empty());
    }

    #[tokio::test]
    async fn a_large_upload_gets_its_turn_among_small_ones() {
        let uploads = Arc::new(uploads());
        let mut open = Vec::new();
        for number in 0..PLACES {
            open.push(uploads.insert(&key(number), Some(1), &mut None).await.unwrap());
        }
        let insert = |number, size| {
            let (uploads, key) = (uploads.clone(), key(number));
            tokio::spawn(async move { uploads.insert(&key, size, &mut None).await })
        };
        let large = insert(PLACES, None);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let small = insert(PLACES + 1, Some(1));
        for upload in &open[..places(None)] {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!small.is_finished(), "it came later");
            uploads.end(upload, Err(Problem::new(Code::NotFound, "done")));
        }
        large.await.unwrap().unwrap();
        uploads.end(&open[PLACES - 1], Err(Problem::new(Code::NotFound, "done")));
        small.await.unwrap().unwrap();
    }
}
