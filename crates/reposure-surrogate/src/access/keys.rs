//! The cluster's public keys: fetched when they are asked for, and from time to time, so that withdrawn ones are dropped.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use reposure_parcel::status::{Check, Reason};
use serde::Deserialize;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::key::{JsonWebKey, PublicKey};

/// How long to wait before fetching again because of an unknown key: anyone can make up a key's name.
const REFETCH: Duration = Duration::from_secs(10);
/// How often keys are fetched anyway, so that a key that was withdrawn is not taken much longer.
const REFRESH: Duration = Duration::from_secs(300);
/// How long keys are taken that could not be fetched again.
const STALE: Duration = Duration::from_secs(3600);
/// The most keys of a set. Clusters have one or two.
const KEYS: usize = 64;

/// When keys are fetched, and how long they are taken.
#[derive(Clone, Copy, Debug)]
struct Times {
    refetch: Duration,
    refresh: Duration,
    stale: Duration,
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch the cluster's keys")]
pub(super) struct FetchError {
    pub(super) reason: Reason,
    #[source]
    pub(super) source: Box<dyn std::error::Error + Send + Sync>,
}

/// Where keys come from.
pub(super) trait Source: Send + Sync {
    /// Fetches the set, as JSON.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>>;
}

/// What is known of a key.
pub(super) enum Found {
    /// The key.
    Key(Arc<PublicKey>),
    /// There is no key of that name.
    Unknown,
    /// The keys cannot be had, so nobody knows.
    Unavailable,
}

#[derive(Default)]
struct State {
    keys: HashMap<String, Arc<PublicKey>>,
    /// When the keys were fetched.
    fetched: Option<Instant>,
    /// When it was last tried.
    tried: Option<Instant>,
    check: Option<Check>,
}

/// The cluster's public keys.
pub(super) struct Keys {
    source: Box<dyn Source>,
    times: Times,
    state: Mutex<State>,
    /// Held while keys are fetched. Who knows a key does not wait for those who make up others.
    fetching: AsyncMutex<()>,
}

impl Keys {
    pub(super) fn new(source: impl Source + 'static) -> Self {
        Self::with_times(source, Times { refetch: REFETCH, refresh: REFRESH, stale: STALE })
    }

    fn with_times(source: impl Source + 'static, times: Times) -> Self {
        Self { source: Box::new(source), times, state: Mutex::default(), fetching: AsyncMutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the key of a name, and fetches the keys for it if they are not known to lack it.
    pub(super) async fn find(&self, key_id: &str) -> Found {
        if let Some(key) = self.lock().known(key_id, self.times) {
            return Found::Key(key);
        }
        self.fetch_unless(|state| {
            state.known(key_id, self.times).is_some() || state.was_tried_within(self.times.refetch)
        })
        .await;
        self.lock().find(key_id, self.times)
    }

    /// Fetches the keys, unless they are fresh.
    pub(super) async fn refresh(&self) {
        self.fetch_unless(|state| {
            let Times { refetch, refresh, .. } = self.times;
            state.was_tried_within(if state.is_younger_than(refresh) { refresh } else { refetch })
        })
        .await;
    }

    /// Returns what came of the last try.
    pub(super) fn check(&self) -> Check {
        self.lock().check.clone().unwrap_or(Check { reason: Reason::Pending, time: None })
    }

    async fn fetch_unless(&self, is_settled: impl Fn(&State) -> bool) {
        let _fetching = self.fetching.lock().await;
        if is_settled(&self.lock()) {
            return;
        }
        // Set before, since this future may be dropped while it waits.
        self.lock().tried = Some(Instant::now());
        let fetched = self.source.fetch().await.and_then(|json| parse(&json));
        let mut state = self.lock();
        let reason = match fetched {
            Ok(keys) => {
                state.keys = keys;
                state.fetched = Some(Instant::now());
                Reason::Ok
            }
            Err(error) => {
                tracing::warn!(error = crate::answer::chain(&error), "no keys");
                error.reason
            }
        };
        state.check = Some(Check { reason, time: Some(Timestamp::now().to_string()) });
    }
}

impl State {
    fn was_tried_within(&self, time: Duration) -> bool {
        self.tried.is_some_and(|at| at.elapsed() < time)
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.fetched.is_some_and(|at| at.elapsed() < age)
    }

    fn known(&self, key_id: &str, times: Times) -> Option<Arc<PublicKey>> {
        self.keys.get(key_id).filter(|_| self.is_younger_than(times.stale)).cloned()
    }

    fn find(&self, key_id: &str, times: Times) -> Found {
        let reachable = self.check.as_ref().is_some_and(|check| check.reason == Reason::Ok);
        match self.known(key_id, times) {
            Some(key) => Found::Key(key),
            None if reachable => Found::Unknown,
            None => Found::Unavailable,
        }
    }
}

fn parse(json: &[u8]) -> Result<HashMap<String, Arc<PublicKey>>, FetchError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<JsonWebKey>,
    }
    let set: Set = serde_json::from_slice(json)
        .map_err(|source| FetchError { reason: Reason::Failed, source: source.into() })?;
    let read = |key: &JsonWebKey| Some((key.kid.clone()?, Arc::new(key.read()?)));
    Ok(set.keys.iter().filter_map(read).take(KEYS).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::sleep;

    use super::*;

    /// A key of the right shape; its numbers do not matter here.
    fn set(kid: &str) -> Vec<u8> {
        let coordinate = "A".repeat(43);
        format!(r#"{{"keys":[{{"kid":"{kid}","kty":"EC","crv":"P-256","x":"{coordinate}","y":"{coordinate}"}},{{"kty":"oct"}}]}}"#)
            .into_bytes()
    }

    #[derive(Clone, Default)]
    struct Script(Arc<AtomicUsize>);

    impl Source for Script {
        fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
            // One key at first, then another, then nothing.
            let result = match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => Ok(set("first")),
                1 => Ok(set("second")),
                _ => Err(FetchError { reason: Reason::Timeout, source: "away".into() }),
            };
            Box::pin(std::future::ready(result))
        }
    }

    const TIMES: Times = Times {
        refetch: Duration::from_millis(100),
        refresh: Duration::from_millis(200),
        stale: Duration::from_millis(500),
    };

    #[tokio::test]
    async fn an_unknown_key_is_fetched_but_not_all_the_time() {
        let script = Script::default();
        let keys = Keys::with_times(script.clone(), TIMES);
        assert!(matches!(keys.find("first").await, Found::Key(_)));
        for _ in 0..5 {
            assert!(matches!(keys.find("second").await, Found::Unknown));
        }
        assert_eq!(script.0.load(Ordering::Relaxed), 1);
        sleep(TIMES.refetch).await;
        assert!(matches!(keys.find("second").await, Found::Key(_)));
        assert!(matches!(keys.find("first").await, Found::Unknown), "withdrawn");
        assert_eq!(keys.check().reason, Reason::Ok);
    }

    #[tokio::test]
    async fn keys_that_cannot_be_fetched_again_are_taken_for_a_while() {
        let keys = Keys::with_times(Script(Arc::new(AtomicUsize::new(1))), TIMES);
        keys.refresh().await;
        keys.refresh().await;
        assert_eq!(keys.check().reason, Reason::Ok, "fresh keys are not fetched again");
        sleep(TIMES.refresh).await;
        keys.refresh().await;
        assert_eq!(keys.check().reason, Reason::Timeout);
        assert!(matches!(keys.find("second").await, Found::Key(_)));
        assert!(matches!(keys.find("other").await, Found::Unavailable));
        sleep(TIMES.stale).await;
        assert!(matches!(keys.find("second").await, Found::Unavailable));
    }
}
