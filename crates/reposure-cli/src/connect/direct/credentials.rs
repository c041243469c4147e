//! Who the user is at a registry: whom he has logged in as, or else whom the registry's Secret names, if he may read it, or its
//! surrogate, where that shows its own token and he may have one, or nobody.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use reposure_api::{Registry, RegistryScheme, SurrogateNames, Target, target};
use reposure_oci::auth::{Credentials, CredentialsError, CredentialsSource, FixedCredentials};

use super::{secret::RegistrySecret, upstream::Upstream};
use crate::{exit, other_registry::TellingCredentials, service_account};

/// The user's own credentials, and those of the registry behind them.
#[derive(Debug)]
pub(super) struct DirectCredentials {
    user: Option<TellingCredentials>,
    registry: Option<Arc<dyn CredentialsSource>>,
}

impl DirectCredentials {
    /// Looks for credentials, and says which there are.
    pub(super) async fn find(upstream: &Upstream<'_>, secret: Option<&RegistrySecret>) -> Result<Self> {
        let (host, user) = (&upstream.host, of_user(upstream));
        if let Some(own) = &user {
            let found = own.credentials(None).await.with_context(|| format!("cannot log in at {host}"))?;
            if !matches!(*found, Credentials::Anonymous) {
                tracing::info!("credentials for {host} are those of your docker or podman configuration");
                return Ok(Self { user, registry: None });
            }
        }
        Ok(Self { user, registry: of_registry(upstream, secret).await? })
    }
}

/// Returns the user's own credentials, unless whoever wrote the registry has them sent over the open network in the clear, or to
/// somebody else.
fn of_user(upstream: &Upstream<'_>) -> Option<TellingCredentials> {
    let host = &upstream.host;
    if upstream.scheme == RegistryScheme::Http && !upstream.target.is_inside() {
        exit::warn(&format!("your own credentials for {host} are not sent by plain HTTP"));
        return None;
    }
    if let Some(realm) = upstream.other_realm() {
        let message = format!(
            "your own credentials for {host} are not sent to {realm}, where the registry's object has tokens fetched"
        );
        exit::warn(&message);
        return None;
    }
    Some(TellingCredentials::of_host(host))
}

/// Returns what a docker configuration may know a registry by, as its surrogate looks for it: the host that is dialled, where that is
/// known, and the one that images are named with.
pub(crate) fn docker_hosts(registry: &Registry, target: Option<&Target>) -> impl Iterator<Item = String> {
    let published = registry.status.as_ref().and_then(|status| status.host.clone());
    target.map(Target::dial_host).into_iter().chain(published)
}

async fn of_registry(
    upstream: &Upstream<'_>,
    secret: Option<&RegistrySecret>,
) -> Result<Option<Arc<dyn CredentialsSource>>> {
    if let Some(secret) = secret {
        tracing::info!("credentials for {} are those of {}", upstream.host, secret.name);
        let hosts = docker_hosts(upstream.registry, Some(&upstream.target));
        return Ok(Some(Arc::new(secret.credentials(hosts)?)));
    }
    if let Some(target::Credentials::ServiceAccount) = upstream.registry.spec.credentials() {
        return of_surrogate(upstream).await.map(Some);
    }
    tracing::info!("no credentials for {}", upstream.host);
    Ok(None)
}

/// Asks for a token of the surrogate's ServiceAccount, which is good for longer than a command takes.
async fn of_surrogate(upstream: &Upstream<'_>) -> Result<Arc<dyn CredentialsSource>> {
    let account = SurrogateNames::new(upstream.name).service_account().to_owned();
    let token = service_account::token(upstream.cluster, &account).await?;
    tracing::info!("credentials for {} are a token of ServiceAccount {account}", upstream.host);
    Ok(Arc::new(FixedCredentials::from(Credentials::Bearer(token))))
}

impl CredentialsSource for DirectCredentials {
    fn credentials<'a>(
        &'a self,
        repository: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Credentials>, CredentialsError>> {
        Box::pin(async move {
            if let Some(user) = &self.user {
                let found = user.credentials(repository).await?;
                if self.registry.is_none() || !matches!(*found, Credentials::Anonymous) {
                    return Ok(found);
                }
            }
            match &self.registry {
                Some(registry) => registry.credentials(repository).await,
                None => Ok(Arc::new(Credentials::Anonymous)),
            }
        })
    }
}
