//! Tokens that are still good.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::time::Instant;

use super::credentials::Credentials;

/// The most tokens that are kept: each is of some kilobytes, and lives for minutes.
const LIMIT: usize = 1024;
/// A token is not used in its last quarter, or in its last 15 s if that is less: an upload that begins with it must be let in.
const MARGIN: Duration = Duration::from_secs(15);
/// The longest that a token is kept, whatever its realm says.
const LONGEST: Duration = Duration::from_secs(3600);

/// Tokens by realm, service and scopes.
#[derive(Debug, Default)]
pub(crate) struct Cache(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    authorization: HeaderValue,
    credentials: Arc<Credentials>,
    end: Instant,
}

impl Cache {
    /// Returns the token that these credentials brought, if it is still good.
    pub(crate) fn get(&self, key: &str, credentials: &Credentials) -> Option<HeaderValue> {
        let good = |entry: &&Entry| entry.end > Instant::now() && entry.credentials.same(credentials);
        self.0.get(key).filter(good).map(|entry| entry.authorization.clone())
    }

    pub(crate) fn put(
        &mut self,
        key: String,
        token: &HeaderValue,
        life: Duration,
        credentials: Arc<Credentials>,
    ) {
        if self.0.len() >= LIMIT {
            let now = Instant::now();
            self.0.retain(|_, entry| entry.end > now);
        }
        if self.0.len() >= LIMIT {
            self.0.clear();
        }
        let life = life.min(LONGEST);
        let end = Instant::now() + life.saturating_sub(MARGIN.min(life / 4));
        self.0.insert(key, Entry { authorization: token.clone(), credentials, end });
    }

    /// Drops a token that the registry refused.
    pub(crate) fn drop_refused(&mut self, refused: &HeaderValue) {
        self.0.retain(|_, entry| entry.authorization != refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_go_before_they_expire() {
        let mut cache = Cache::default();
        let token = HeaderValue::from_static("Bearer x");
        let anonymous = Arc::new(Credentials::Anonymous);
        cache.put("a".into(), &token, Duration::from_millis(800), Arc::clone(&anonymous));
        assert!(cache.get("a", &anonymous).is_some());
        assert!(cache.get("a", &Credentials::Bearer("other".into())).is_none());
        tokio::time::sleep(Duration::from_millis(620)).await;
        assert!(cache.get("a", &anonymous).is_none());
    }

    #[tokio::test]
    async fn the_cache_has_a_limit() {
        let mut cache = Cache::default();
        let token = HeaderValue::from_static("Bearer x");
        for key in 0..LIMIT * 2 {
            cache.put(key.to_string(), &token, LONGEST, Arc::new(Credentials::Anonymous));
        }
        assert!(cache.0.len() <= LIMIT);
    }
}
