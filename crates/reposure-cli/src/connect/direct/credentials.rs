//! Who the user is at a registry: whom he has logged in as, or else whom the registry's Secret names, if he may read it, or nobody.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use reposure_api::{RegistryScheme, target};
use reposure_oci::auth::{Credentials, CredentialsError, CredentialsSource, SecretCredentials};

use super::{secret::RegistrySecret, upstream::Upstream};
use crate::{exit, other_registry::TellingCredentials};

/// The user's own credentials, and those of the registry's Secret behind them.
#[derive(Debug)]
pub(super) struct DirectCredentials {
    user: Option<TellingCredentials>,
    secret: Option<SecretCredentials>,
}

impl DirectCredentials {
    /// Looks for credentials, and says which there are.
    pub(super) async fn find(upstream: &Upstream<'_>, secret: Option<&RegistrySecret>) -> Result<Self> {
        let (host, user) = (&upstream.host, of_user(upstream));
        if let Some(own) = &user {
            let found = own.credentials(None).await.with_context(|| format!("cannot log in at {host}"))?;
            if !matches!(*found, Credentials::Anonymous) {
                tracing::info!("credentials for {host} are those of your docker or podman configuration");
                return Ok(Self { user, secret: None });
            }
        }
        Ok(Self { user, secret: of_registry(upstream, secret)? })
    }
}

/// Returns the user's own credentials, unless whoever wrote the registry has them sent over the open network in the clear.
fn of_user(upstream: &Upstream<'_>) -> Option<TellingCredentials> {
    let host = &upstream.host;
    if upstream.scheme == RegistryScheme::Http && !upstream.target.is_inside() {
        exit::warn(&format!("your own credentials for {host} are not sent by plain HTTP"));
        return None;
    }
    Some(TellingCredentials::of_host(host))
}

fn of_registry(
    upstream: &Upstream<'_>,
    secret: Option<&RegistrySecret>,
) -> Result<Option<SecretCredentials>> {
    if let Some(secret) = secret {
        tracing::info!("credentials for {} are those of {}", upstream.host, secret.name);
        // Its docker configuration names the host that the surrogate dials, or the one that images are named with.
        let published = upstream.registry.status.as_ref().and_then(|status| status.host.as_deref());
        let dialled = upstream.target.dial_host();
        let names: Vec<_> = std::iter::once(dialled.as_str()).chain(published).collect();
        return Ok(Some(secret.credentials(&names)?));
    }
    let why = match upstream.registry.spec.credentials() {
        Some(target::Credentials::ServiceAccount) => ", since those of the registry are its surrogate's own",
        _ => "",
    };
    tracing::info!("no credentials for {}{why}", upstream.host);
    Ok(None)
}

impl CredentialsSource for DirectCredentials {
    fn credentials<'a>(
        &'a self,
        repository: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Credentials>, CredentialsError>> {
        Box::pin(async move {
            if let Some(user) = &self.user {
                let found = user.credentials(repository).await?;
                if self.secret.is_none() || !matches!(*found, Credentials::Anonymous) {
                    return Ok(found);
                }
            }
            match &self.secret {
                Some(secret) => secret.credentials(repository).await,
                None => Ok(Arc::new(Credentials::Anonymous)),
            }
        })
    }
}
