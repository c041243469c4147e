//! The tokens that requests carry: short-lived ones of a registry's access ServiceAccounts.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, api::PostParams};
use reposure_oci::transport::BoxError;
use reposure_parcel::{limits, wire::Right};
use secrecy::SecretString;
use tokio::sync::Mutex;

/// A token with less left is replaced: no request may outlive its token by much, and clocks differ.
const RENEW_BEFORE: Duration = Duration::from_secs(120);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("cannot get a token of ServiceAccount {service_account} in namespace {namespace}")]
pub struct TokenError {
    /// The ServiceAccount's name.
    pub service_account: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether the API server refused it for want of a right.
    pub denied: bool,
    /// What happened.
    #[source]
    pub source: BoxError,
}

/// Gives tokens for a right.
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// Returns a token that is good for some more minutes; none if the surrogate asks for none.
    ///
    /// # Errors
    /// When it cannot be had.
    fn token(&self, right: Right) -> BoxFuture<'_, Result<Option<SecretString>, TokenError>>;

    /// Forgets what is cached, after a surrogate refused a token.
    fn forget(&self) -> BoxFuture<'_, ()>;
}

/// No tokens, for a surrogate that serves loopback alone.
#[derive(Clone, Copy, Debug)]
pub struct NoTokens;

impl TokenSource for NoTokens {
    fn token(&self, _right: Right) -> BoxFuture<'_, Result<Option<SecretString>, TokenError>> {
        std::future::ready(Ok(None)).boxed()
    }

    fn forget(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

/// Tokens of a registry's three access ServiceAccounts, by the `TokenRequest` API.
///
/// See [Kubernetes, "TokenRequest"](https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/).
#[derive(Clone)]
pub struct ServiceAccountTokens {
    api: Api<ServiceAccount>,
    namespace: String,
    audience: String,
    name: Arc<dyn Fn(Right) -> String + Send + Sync>,
    cache: Arc<Mutex<HashMap<Right, (SecretString, Timestamp)>>>,
}

impl fmt::Debug for ServiceAccountTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServiceAccountTokens")
            .field("namespace", &self.namespace)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl ServiceAccountTokens {
    /// Asks for tokens with `audience` of the ServiceAccounts in `namespace` that `name` names for each right.
    pub fn new(
        client: kube::Client,
        namespace: &str,
        audience: String,
        name: impl Fn(Right) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.into(),
            audience,
            name: Arc::new(name),
            cache: Arc::default(),
        }
    }

    async fn cached(&self, right: Right) -> Result<SecretString, TokenError> {
        let mut cache = self.cache.lock().await;
        if let Some((token, expires)) = cache.get(&right)
            && expires.duration_since(Timestamp::now())
                > jiff::SignedDuration::try_from(RENEW_BEFORE).unwrap_or_default()
        {
            return Ok(token.clone());
        }
        let (token, expires) = self.request(right).await?;
        cache.insert(right, (token.clone(), expires));
        Ok(token)
    }

    async fn request(&self, right: Right) -> Result<(SecretString, Timestamp), TokenError> {
        let service_account = (self.name)(right);
        let wish = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![self.audience.clone()],
                expiration_seconds: i64::try_from(limits::TOKEN_AGE.as_secs()).ok(),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let answer = self
            .api
            .create_token_request(&service_account, &PostParams::default(), &wish)
            .await
            .map_err(|error| self.refused(&service_account, error))?;
        let status =
            answer.status.ok_or_else(|| self.failed(&service_account, "the answer holds no token".into()))?;
        Ok((status.token.into(), status.expiration_timestamp.0))
    }

    fn refused(&self, service_account: &str, error: kube::Error) -> TokenError {
        let denied = matches!(&error, kube::Error::Api(status) if status.code == 403);
        TokenError { denied, ..self.failed(service_account, error.into()) }
    }

    fn failed(&self, service_account: &str, source: BoxError) -> TokenError {
        TokenError {
            service_account: service_account.into(),
            namespace: self.namespace.clone(),
            denied: false,
            source,
        }
    }
}

impl TokenSource for ServiceAccountTokens {
    fn token(&self, right: Right) -> BoxFuture<'_, Result<Option<SecretString>, TokenError>> {
        self.cached(right).map(|token| token.map(Some)).boxed()
    }

    fn forget(&self) -> BoxFuture<'_, ()> {
        async { self.cache.lock().await.clear() }.boxed()
    }
}
