//! The Secret that a registry names, as far as it may be read.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Secret;
use reposure_api::target;
use reposure_oci::{
    auth::{CredentialsError, SecretCredentials},
    direct::ClientIdentity,
};
use secrecy::{ExposeSecret as _, SecretSlice};

use super::{readable::readable, upstream::Upstream};

/// The keys of a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// What a Secret holds.
#[derive(Debug)]
pub(super) struct RegistrySecret {
    /// What it is called in messages.
    pub(super) name: String,
    data: Arc<BTreeMap<String, SecretSlice<u8>>>,
}

impl RegistrySecret {
    /// Reads the Secret that a registry names, if it does.
    pub(super) async fn find(upstream: &Upstream<'_>) -> Result<Option<Self>> {
        let Some(target::Credentials::Secret { name }) = upstream.registry.spec.credentials() else {
            return Ok(None);
        };
        let secret = readable::<Secret>(upstream.cluster, name).await?;
        Ok(secret.map(|secret| {
            let data = secret.data.unwrap_or_default();
            let data = data.into_iter().map(|(key, bytes)| (key, bytes.0.into())).collect();
            Self { name: format!("Secret {name}"), data: Arc::new(data) }
        }))
    }

    /// Returns the certificate that the registry is to be shown, if there is one.
    pub(super) fn identity(&self) -> Result<Option<ClientIdentity>> {
        let (Some(certificate), Some(key)) = (self.data.get(CERTIFICATE), self.data.get(KEY)) else {
            return Ok(None);
        };
        let identity = ClientIdentity::from_pem(certificate.expose_secret(), key.expose_secret());
        let identity =
            identity.with_context(|| format!("cannot use {CERTIFICATE} and {KEY} of {}", self.name))?;
        tracing::info!("the registry is shown the certificate of {}", self.name);
        Ok(Some(identity))
    }

    /// Returns the credentials for a registry, which docker configurations know by one of these names; nobody's where there is but a
    /// certificate.
    pub(super) fn credentials(
        &self,
        hosts: impl Iterator<Item = String>,
    ) -> Result<SecretCredentials, CredentialsError> {
        SecretCredentials::new(&self.name, &self.data, hosts)
    }
}
