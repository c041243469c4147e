//! The `Authorization` of each request.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio::sync::Mutex;
use url::Url;

use super::{
    cache::Cache,
    challenge::Challenge,
    credentials::{Credentials, authorization},
    error::AuthError,
    exchange::Exchange,
    realm,
    refreshed::Refreshed,
    scope::{Scope, Scopes},
    source::CredentialsSource,
};
use crate::{
    endpoint::Endpoint,
    transport::{self, Body, Transport},
};

/// Gives each request to one registry its `Authorization`.
///
/// It remembers the registry's challenges and the realm's tokens; credentials are asked of their source each time.
#[derive(Debug)]
pub struct Authenticator {
    registry: Endpoint,
    source: Arc<dyn CredentialsSource>,
    realm: Option<Url>,
    /// Held while a token is fetched, so that many requests fetch one token.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    challenges: Option<Vec<Challenge>>,
    /// Harbor wants `Basic` for the catalog, and `Bearer` for the rest.
    catalog_challenges: Option<Vec<Challenge>>,
    tokens: Cache,
    refreshed: Refreshed,
}

impl State {
    fn challenges(&mut self, scopes: &Scopes) -> &mut Option<Vec<Challenge>> {
        if scopes.is_catalog() { &mut self.catalog_challenges } else { &mut self.challenges }
    }
}

impl Authenticator {
    /// Authenticates at a registry with what `source` gives.
    pub fn new(registry: Endpoint, source: Arc<dyn CredentialsSource>) -> Self {
        Self { registry, source, realm: None, state: Mutex::default() }
    }

    /// Fetches tokens from this realm, whatever the registry names: inside a cluster its name may be one of outside.
    #[must_use]
    pub fn with_realm(mut self, realm: Url) -> Self {
        self.realm = Some(realm);
        self
    }

    /// Returns the registry that credentials are for.
    pub const fn registry(&self) -> &Endpoint {
        &self.registry
    }

    /// Returns the `Authorization` of a request, or none while the registry has not asked for any.
    ///
    /// `http` takes absolute URIs.
    ///
    /// # Errors
    /// When there are no credentials, or no token for them.
    ///
    /// # Cancel safety
    /// A call that is dropped leaves no trace but a token that nobody uses.
    pub async fn authorize(
        &self,
        http: &dyn Transport,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, AuthError> {
        let credentials = self.credentials(scopes).await?;
        match self.authorize_by(http, scopes, Arc::clone(&credentials)).await {
            Err(AuthError::Denied { .. }) if self.gives_others(scopes, &credentials) => {
                let others = self.credentials(scopes).await?;
                self.authorize_by(http, scopes, others).await
            }
            result => result,
        }
    }

    async fn authorize_by(
        &self,
        http: &dyn Transport,
        scopes: &Scopes,
        credentials: Arc<Credentials>,
    ) -> Result<Option<HeaderValue>, AuthError> {
        if let Credentials::Bearer(token) = &*credentials {
            return Ok(bearer(token));
        }
        let mut state = self.state.lock().await;
        match state.challenges(scopes).clone() {
            Some(challenges) => self.meet(http, &mut state, &challenges, scopes, credentials).await,
            None => Ok(None),
        }
    }

    /// As [`Self::authorize`], but asks the registry first what it wants, for a request that cannot be sent twice.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    ///
    /// # Cancel safety
    /// As [`Self::authorize`].
    pub async fn prepare(
        &self,
        http: &dyn Transport,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, AuthError> {
        if self.state.lock().await.challenges(scopes).is_none() {
            let asked = self.ask_registry(http, None).await?;
            *self.state.lock().await.challenges(scopes) = Some(Challenge::all(asked.headers()));
        }
        let authorization = self.authorize(http, scopes).await?;
        // What has changed may be what the registry does not know yet, and would refuse only after the body.
        if !self.source.is_changing() || authorization.is_none() {
            return Ok(authorization);
        }
        let answer = self.ask_registry(http, authorization.as_ref()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(authorization);
        }
        let other = self.renew(http, scopes, authorization.as_ref(), answer.headers()).await?;
        Ok(other.or(authorization))
    }

    /// Returns another `Authorization` than `used`, which the registry answered with 401; none if there is no other.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    ///
    /// # Cancel safety
    /// As [`Self::authorize`].
    pub async fn renew(
        &self,
        http: &dyn Transport,
        scopes: &Scopes,
        used: Option<&HeaderValue>,
        answer: &HeaderMap,
    ) -> Result<Option<HeaderValue>, AuthError> {
        let mut challenges = Challenge::all(answer);
        if challenges.is_empty() {
            // Some answer 401 without saying what they want; `/v2/` does.
            challenges = Challenge::all(self.ask_registry(http, None).await?.headers());
        }
        {
            let mut state = self.state.lock().await;
            *state.challenges(scopes) = Some(challenges);
            if let Some(used) = used {
                state.tokens.drop_refused(used);
            }
        }
        let credentials = self.credentials(scopes).await?;
        let mut other = self.authorize(http, scopes).await?;
        if used.is_some() && other.as_ref() == used && self.gives_others(scopes, &credentials) {
            other = self.authorize(http, scopes).await?;
        }
        Ok(other.filter(|other| Some(other) != used))
    }

    /// Tells whether there are other credentials than those that were refused.
    fn gives_others(&self, scopes: &Scopes, refused: &Credentials) -> bool {
        self.source.refused(scopes.repository_name(), refused)
    }

    async fn credentials(&self, scopes: &Scopes) -> Result<Arc<Credentials>, AuthError> {
        self.source.credentials(scopes.repository_name()).await.map_err(AuthError::Credentials)
    }

    async fn ask_registry(
        &self,
        http: &dyn Transport,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<Body>, AuthError> {
        let path = http::uri::PathAndQuery::from_static("/v2/");
        let mut request =
            Request::get(self.registry.uri(Some(&path))).body(transport::empty()).unwrap_or_default();
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        let unreachable = |source| AuthError::Unreachable { realm: self.registry.to_string(), source };
        http.send(request).await.map_err(unreachable)
    }

    /// Meets the first challenge that can be met, `Bearer` before `Basic`.
    async fn meet(
        &self,
        http: &dyn Transport,
        state: &mut State,
        challenges: &[Challenge],
        scopes: &Scopes,
        credentials: Arc<Credentials>,
    ) -> Result<Option<HeaderValue>, AuthError> {
        let basic = challenges.iter().any(|challenge| challenge.is("basic"));
        let basic = credentials.basic().filter(|_| basic);
        let Some(challenge) = challenges.iter().find(|challenge| challenge.is("bearer")) else {
            return Ok(basic);
        };
        match self.token(http, state, challenge, scopes, credentials).await {
            // Gitea names the realm by its outer name, which may be out of reach, or another server, but takes `Basic` too.
            Err(error) if basic.is_some() && !error.is_denied() => {
                tracing::debug!(%error, "a password is sent instead of a token");
                // Or each request would wait for that realm anew.
                state.challenges(scopes).iter_mut().for_each(|all| all.retain(|known| !known.is("bearer")));
                Ok(basic)
            }
            result => result.map(Some),
        }
    }

    async fn token(
        &self,
        http: &dyn Transport,
        state: &mut State,
        challenge: &Challenge,
        scopes: &Scopes,
        credentials: Arc<Credentials>,
    ) -> Result<HeaderValue, AuthError> {
        let realm = self.realm(challenge)?;
        let service = challenge.parameter("service");
        let wanted = wanted(scopes, challenge);
        let key = key(&realm, service, &wanted);
        if let Some(token) = state.tokens.get(&key, &credentials) {
            return Ok(token);
        }
        let exchange = Exchange { realm, service, scopes: &wanted, credentials: &credentials };
        let token = state.refreshed.exchange(http, &exchange).await?;
        state.tokens.put(key, &token.authorization, token.life, credentials);
        Ok(token.authorization)
    }

    fn realm(&self, challenge: &Challenge) -> Result<Url, AuthError> {
        if let Some(realm) = &self.realm {
            return Ok(realm.clone());
        }
        let realm = challenge.parameter("realm").unwrap_or_default();
        realm::check(realm, &self.registry).map_err(|source| AuthError::Realm { realm: realm.into(), source })
    }
}

/// Returns the scopes of a request, or those that the challenge names for one that is unknown here.
fn wanted(scopes: &Scopes, challenge: &Challenge) -> Vec<Scope> {
    if scopes.list().is_empty() {
        challenge.parameter("scope").into_iter().flat_map(str::split_whitespace).map(Scope::new).collect()
    } else {
        scopes.list().to_vec()
    }
}

fn key(realm: &Url, service: Option<&str>, scopes: &[Scope]) -> String {
    let scopes = scopes.iter().map(Scope::as_str);
    // No part holds a space: URLs and scopes have none, and a service's are escaped.
    let service = service.unwrap_or_default().replace(' ', "%20");
    [realm.as_str(), &service].into_iter().chain(scopes).collect::<Vec<_>>().join(" ")
}

fn bearer(token: &secrecy::SecretString) -> Option<HeaderValue> {
    use secrecy::ExposeSecret as _;
    authorization("Bearer", token.expose_secret())
}
