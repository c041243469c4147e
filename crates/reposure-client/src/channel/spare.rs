//! Connections that are made before they are needed: over a long way each of them takes two round trips, which pass while something else
//! is waited for.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::Uri;
use reposure_oci::transport::BoxError;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;
use tower::{Service, ServiceExt as _};

/// How long a connection that nobody wants is good: what is expected comes within some round trips.
const AGE: Duration = Duration::from_secs(10);
/// How many begin at once: what a command asks first.
const AT_ONCE: u32 = 4;
/// The pause before each further one, so that their handshakes, some 2 ms on either side, do not hold up the first questions.
const PACE: Duration = Duration::from_millis(3);

/// A connector that has some connections begun, and gives them away first.
#[derive(Debug)]
pub(super) struct Spare<C, T> {
    connector: C,
    begun: Arc<Queue<T>>,
}

/// The connections that are begun, the oldest first.
type Queue<T> = Mutex<VecDeque<Begun<T>>>;

/// A connection that is being made, or made and not used yet. It ends when this is dropped.
#[derive(Debug)]
struct Begun<T> {
    at: Instant,
    task: AbortOnDropHandle<Result<T, BoxError>>,
}

impl<C: Clone, T> Clone for Spare<C, T> {
    fn clone(&self) -> Self {
        Self { connector: self.connector.clone(), begun: self.begun.clone() }
    }
}

impl<C, T> Spare<C, T>
where
    C: Service<Uri, Response = T, Error = BoxError> + Clone + Send + 'static,
    C::Future: Send + 'static,
    T: Send + 'static,
{
    pub(super) fn new(connector: C) -> Self {
        Self { connector, begun: Arc::default() }
    }

    /// Begins so many connections, less those that are begun already.
    pub(super) fn expect(&self, count: usize, uri: &Uri) {
        // Outside of a runtime nothing is sent.
        let Ok(runtime) = Handle::try_current() else { return };
        let mut begun = young(&self.begun);
        for number in (0..).take(count.saturating_sub(begun.len())) {
            let (connector, uri) = (self.connector.clone(), uri.clone());
            let pause = PACE * u32::saturating_sub(number, AT_ONCE - 1);
            let task = runtime.spawn(async move {
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                connector.oneshot(uri).await
            });
            begun.push_back(Begun { at: Instant::now(), task: AbortOnDropHandle::new(task) });
        }
        drop(begun);
        runtime.spawn(close_old(Arc::downgrade(&self.begun)));
    }
}

/// Lets go of what is too old, and returns the rest.
fn young<T>(begun: &Queue<T>) -> MutexGuard<'_, VecDeque<Begun<T>>> {
    // Nothing can panic while it is held.
    let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
    begun.retain(|begun| begun.at.elapsed() < AGE);
    begun
}

/// Closes what nobody has wanted in time.
async fn close_old<T>(begun: Weak<Queue<T>>) {
    sleep(AGE).await;
    if let Some(begun) = begun.upgrade() {
        drop(young(&begun));
    }
}

impl<C, T> Service<Uri> for Spare<C, T>
where
    C: Service<Uri, Response = T, Error = BoxError> + Clone + Send + 'static,
    C::Future: Send + 'static,
    T: Send + 'static,
{
    type Response = T;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<T, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Each connection waits for its own connector.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let begun = young(&self.begun).pop_front();
        let connector = self.connector.clone();
        async move {
            let Some(Begun { task, .. }) = begun else { return connector.oneshot(uri).await };
            // What failed while nobody waited for it may go by now; what fails later fails as it would have without it.
            let has_failed_before = task.is_finished();
            match task.await {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) if !has_failed_before => Err(error),
                _ => connector.oneshot(uri).await,
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tower::service_fn;

    use super::*;

    /// Counts connections, of which the first ones fail.
    fn connector(
        fails: usize,
    ) -> (
        Arc<AtomicUsize>,
        impl Service<Uri, Response = usize, Error = BoxError, Future: Send> + Clone + Send + 'static,
    ) {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let connect = move |_: Uri| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move { if number < fails { Err("refused".into()) } else { Ok(number) } }
        };
        (made, service_fn(connect))
    }

    #[tokio::test]
    async fn what_was_expected_is_there_and_anything_else_is_made() {
        let (made, connector) = connector(0);
        let (spare, uri) = (Spare::new(connector), Uri::from_static("https://server"));
        spare.expect(2, &uri);
        spare.expect(2, &uri);
        let mut numbers = Vec::new();
        for _ in 0..3 {
            numbers.push(spare.clone().oneshot(uri.clone()).await.unwrap());
        }
        numbers.sort_unstable();
        assert_eq!((numbers, made.load(Ordering::Relaxed)), (vec![0, 1, 2], 3));
    }

    #[tokio::test]
    async fn one_that_failed_is_made_again_and_what_is_old_is_left() {
        let (made, connector) = connector(1);
        let (spare, uri) = (Spare::new(connector), Uri::from_static("https://server"));
        spare.expect(1, &uri);
        tokio::task::yield_now().await;
        assert_eq!(spare.clone().oneshot(uri.clone()).await.unwrap(), 1);
        spare.expect(1, &uri);
        tokio::task::yield_now().await;
        let old = Instant::now().checked_sub(AGE).unwrap();
        spare.begun.lock().unwrap()[0].at = old;
        assert_eq!(spare.clone().oneshot(uri).await.unwrap(), 3, "the one before is too old");
        assert_eq!(made.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn one_that_fails_while_it_is_waited_for_has_failed() {
        let (made, connector) = connector(1);
        let (spare, uri) = (Spare::new(connector), Uri::from_static("https://server"));
        spare.expect(1, &uri);
        // It has not begun to run yet.
        let error = spare.clone().oneshot(uri).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), made.load(Ordering::Relaxed)), ("refused", 1));
    }
}
