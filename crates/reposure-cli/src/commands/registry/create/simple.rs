//! The simple registry, with what a surrogate needs for it.

use k8s_openapi::api::core::v1::Secret;
use reposure_admin::Provider;
use reposure_api::{RegistrySpec, names};

use crate::{commands::simple::Installed, context::Cluster};

/// The key of the authority in the Secret of the simple registry, as cert-manager has it too.
const AUTHORITY_KEY: &str = "ca.crt";

/// What is known of the simple registry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Simple {
    tls: bool,
    /// Whether an authority is named beside its certificate, which else has to be trusted by itself.
    has_authority: bool,
    password: bool,
}

impl Simple {
    /// Looks how the simple registry was installed, if it is there. Whoever may not see that names the Secrets for the surrogate by
    /// --authentication-secret and --authorization-secret.
    pub(super) async fn find(cluster: &Cluster) -> Option<Self> {
        let Installed { tls, password, .. } = Installed::find(cluster).await?;
        Some(Self { tls, has_authority: tls && has_authority(cluster).await, password })
    }

    /// Returns how to reach it, with what a surrogate needs for it.
    pub(super) fn spec(self) -> RegistrySpec {
        let mut spec = Provider::Simple { tls: self.tls }.spec().unwrap_or_default();
        if self.has_authority {
            spec.authentication_secret_data_key = Some(AUTHORITY_KEY.into());
        }
        if self.password {
            spec.authorization_secret = Some(names::SIMPLE_AUTHORIZATION.into());
        }
        spec
    }
}

async fn has_authority(cluster: &Cluster) -> bool {
    let secret = cluster.api::<Secret>().get_opt(names::SIMPLE_AUTHENTICATION).await.ok().flatten();
    secret.and_then(|secret| secret.data).is_some_and(|data| data.contains_key(AUTHORITY_KEY))
}
