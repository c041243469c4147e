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
use reposure_parcel::limits::PLACES;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::delivery;
use crate::{answer, upstream::Client};

/// How long one is kept: what is missing is sent at once, and a blob that has to wait for its turn can have one of its own.
const AGE: Duration = Duration::from_secs(10);

/// Uploads that are open at the registry, or about to be, for no blob yet.
pub(super) struct Prepared {
    registry: Client,
    openings: Mutex<HashMap<RepositoryName, VecDeque<Opening>>>,
}

/// One of them.
#[derive(Debug)]
struct Opening {
    at: Instant,
    task: AbortOnDropHandle<Result<Session, Error>>,
}

impl Prepared {
    pub(super) fn new(registry: Client) -> Self {
        Self { registry, openings: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RepositoryName, VecDeque<Opening>>> {
        // Nothing can panic while it is held.
        self.openings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to open so many uploads, less those that wait already; in all repositories no more than may have a place at once.
    pub(super) fn prepare(&self, repository: &RepositoryName, count: usize) {
        let mut openings = self.lock();
        let all: usize = openings.values().map(VecDeque::len).sum();
        let waiting = openings.get(repository).map_or(0, VecDeque::len);
        let more = count.saturating_sub(waiting).min(PLACES.saturating_sub(all));
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

    /// Returns an upload if one was prepared, or waits for one that is being opened. Why it could not be opened is found out by whoever
    /// opens another.
    pub(super) async fn take(&self, repository: &RepositoryName) -> Option<Session> {
        let opening = self.pop(repository)?;
        match opening.task.await {
            Ok(Ok(session)) => Some(session),
            Ok(Err(error)) => {
                tracing::debug!(error = answer::chain(&error), "no upload was prepared");
                None
            }
            Err(_) => None,
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
        self.cancel(|_, opening| opening.at.elapsed() >= AGE);
    }

    /// Cancels those of a repository: the registry does not know one of them any more.
    pub(super) fn forget(&self, repository: &RepositoryName) {
        self.cancel(|of, _| of == repository);
    }

    fn cancel(&self, is_over: impl Fn(&RepositoryName, &Opening) -> bool) {
        let mut over = Vec::new();
        self.lock().retain(|repository, waiting| {
            let (ended, kept) = waiting.drain(..).partition(|opening| is_over(repository, opening));
            *waiting = kept;
            over.push(ended);
            !waiting.is_empty()
        });
        for opening in over.into_iter().flat_map(|ended: VecDeque<Opening>| ended) {
            let registry = self.registry.clone();
            // Opening has the registry client's deadline, and so has cancelling.
            tokio::spawn(async move {
                if let Ok(Ok(session)) = opening.task.await {
                    delivery::cancel(registry, session);
                }
            });
        }
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
        (asked.clone(), Prepared::new(Client::new(asked)), "app".parse().unwrap())
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
        prepared.prepare(&"other".parse().unwrap(), 2 * PLACES);
        for _ in 0..3 {
            assert!(prepared.take(&app).await.is_some());
        }
        assert!(prepared.take(&app).await.is_none());
        until(|| asked.count(&Method::POST) == PLACES).await;
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
        assert!(prepared.take(&app).await.is_some(), "the other one is young");
        assert!(prepared.lock().is_empty());
        prepared.prepare(&app, 1);
        prepared.forget(&app);
        until(|| asked.count(&Method::DELETE) == 2).await;
    }
}
