//! Uploads that are opened at the registry while the client still learns that it is to send blobs: over a long way there is time for it,
//! and on a short one it is done earlier.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reposure_oci::{
    RepositoryName,
    registry::{Error, Session},
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::delivery;
use crate::upstream::Client;

/// How long one is kept: what is missing is sent at once, and a blob that has to wait for its turn can have one of its own.
const AGE: Duration = Duration::from_secs(10);

/// Uploads that are open at the registry, or about to be, for no blob yet.
pub(super) struct Prepared {
    registry: Client,
    /// How many there may be, in all repositories.
    most: usize,
    openings: Mutex<HashMap<RepositoryName, VecDeque<Opening>>>,
}

/// One of them.
#[derive(Debug)]
struct Opening {
    at: Instant,
    task: AbortOnDropHandle<Result<Session, Error>>,
}

impl Prepared {
    pub(super) fn new(registry: Client, most: usize) -> Self {
        Self { registry, most, openings: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RepositoryName, VecDeque<Opening>>> {
        // Nothing can panic while it is held.
        self.openings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to open so many uploads, less those that wait already.
    pub(super) fn prepare(&self, repository: &RepositoryName, count: usize) {
        let mut openings = self.lock();
        let all: usize = openings.values().map(VecDeque::len).sum();
        let waiting = openings.get(repository).map_or(0, VecDeque::len);
        let more = count.saturating_sub(waiting).min(self.most.saturating_sub(all));
        if more == 0 {
            return;
        }
        let waiting = openings.entry(repository.clone()).or_default();
        for _ in 0..more {
            let (registry, repository) = (self.registry.clone(), repository.clone());
            let task = tokio::spawn(async move { registry.start_upload(&repository).await });
            waiting.push_back(Opening { at: Instant::now(), task: AbortOnDropHandle::new(task) });
        }
    }

    /// Returns an upload if one was prepared, or waits for one that is being opened.
    ///
    /// # Errors
    /// When it cannot be opened. What could not be opened before anybody waited for it may go by now, and is none.
    pub(super) async fn take(&self, repository: &RepositoryName) -> Result<Option<Session>, Error> {
        let Some(opening) = self.pop(repository) else { return Ok(None) };
        let has_failed_before = opening.task.is_finished();
        match opening.task.await {
            Ok(Ok(session)) => Ok(Some(session)),
            Ok(Err(error)) if !has_failed_before => Err(error),
            _ => Ok(None),
        }
    }

    fn pop(&self, repository: &RepositoryName) -> Option<Opening> {
        let mut openings = self.lock();
        let waiting = openings.get_mut(repository)?;
        // Those that are too old are swept.
        let young = waiting.iter().position(|opening| opening.at.elapsed() < AGE)?;
        let opening = waiting.remove(young);
        if waiting.is_empty() {
            openings.remove(repository);
        }
        opening
    }

    /// Cancels what nobody has wanted in time; to be called every few seconds.
    pub(super) fn sweep(&self) {
        self.cancel(|_, opening| opening.at.elapsed() >= AGE).detach_all();
    }

    /// Cancels all, and waits until that is done.
    ///
    /// # Cancel safety
    /// What is not cancelled by then stays open at the registry.
    pub(super) async fn close(&self) {
        self.cancel(|_, _| true).join_all().await;
    }

    /// Cancels those of a repository: the registry does not know one of them any more.
    pub(super) fn forget(&self, repository: &RepositoryName) {
        self.cancel(|of, _| of == repository).detach_all();
    }

    fn cancel(&self, is_over: impl Fn(&RepositoryName, &Opening) -> bool) -> JoinSet<()> {
        let mut over = Vec::new();
        self.lock().retain(|repository, waiting| {
            let (ended, kept) = waiting.drain(..).partition(|opening| is_over(repository, opening));
            *waiting = kept;
            over.push(ended);
            !waiting.is_empty()
        });
        let mut cancelling = JoinSet::new();
        for opening in over.into_iter().flat_map(|ended: VecDeque<Opening>| ended) {
            let registry = self.registry.clone();
            // Opening has the registry client's deadline, and so has cancelling.
            cancelling.spawn(async move {
                if let Ok(Ok(session)) = opening.task.await {
                    delivery::cancelled(&registry, session).await;
                }
            });
        }
        cancelling
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, PoisonError};

    use futures::{FutureExt as _, future::BoxFuture};
    use http::{Method, Request, Response, header};
    use reposure_oci::transport::{Body, Transport, TransportError, empty};
    use tokio::time::{sleep, timeout};

    use super::*;

    const MOST: usize = 8;

    /// A registry that opens uploads and cancels them.
    #[derive(Debug, Default)]
    struct Asked(Mutex<Vec<Method>>);

    impl Asked {
        fn count(&self, method: &Method) -> usize {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|one| *one == method).count()
        }
    }

    impl Transport for Asked {
        fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
            let method = request.method().clone();
            self.0.lock().unwrap().push(method.clone());
            let status = if method == Method::POST { 202 } else { 204 };
            let response =
                Response::builder().status(status).header(header::LOCATION, "/v2/app/blobs/uploads/1");
            async move { Ok(response.body(empty()).unwrap()) }.boxed()
        }
    }

    fn prepared() -> (Arc<Asked>, Prepared, RepositoryName) {
        let asked = Arc::<Asked>::default();
        (asked.clone(), Prepared::new(Client::new(asked), MOST), "app".parse().unwrap())
    }

    async fn until(is_so: impl Fn() -> bool) {
        let wait = async {
            while !is_so() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), wait).await.expect("it is so in time");
    }

    #[tokio::test]
    async fn each_is_given_once_and_there_are_so_many_places() {
        let (asked, prepared, app) = prepared();
        prepared.prepare(&app, 2);
        prepared.prepare(&app, 3);
        prepared.prepare(&"other".parse().unwrap(), 2 * MOST);
        for _ in 0..3 {
            assert!(prepared.take(&app).await.unwrap().is_some());
        }
        assert!(prepared.take(&app).await.unwrap().is_none());
        until(|| asked.count(&Method::POST) == MOST).await;
    }

    #[tokio::test]
    async fn what_nobody_wants_is_cancelled() {
        let (asked, prepared, app) = prepared();
        prepared.prepare(&app, 2);
        prepared.sweep();
        let old = Instant::now().checked_sub(AGE).unwrap();
        prepared.lock().get_mut(&app).unwrap()[0].at = old;
        prepared.sweep();
        until(|| asked.count(&Method::DELETE) == 1).await;
        assert!(prepared.take(&app).await.unwrap().is_some(), "the other one is young");
        assert!(prepared.lock().is_empty());
        prepared.prepare(&app, 1);
        prepared.forget(&app);
        until(|| asked.count(&Method::DELETE) == 2).await;
        prepared.prepare(&app, 3);
        prepared.close().await;
        assert_eq!(asked.count(&Method::DELETE), 5);
    }
}
