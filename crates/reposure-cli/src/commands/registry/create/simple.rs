//! How the simple registry was installed, as far as that may be seen.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use reposure_admin::Provider;
use reposure_api::{RegistrySpec, names};

use crate::context::Cluster;

/// The key of the authority in the Secret of the simple registry, as cert-manager has it too.
const AUTHORITY_KEY: &str = "ca.crt";

/// How the simple registry was installed.
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
        let found = cluster.api::<Deployment>().get_opt(names::SIMPLE).await.ok()??;
        let volumes = found.spec?.template.spec?.volumes.unwrap_or_default();
        let secrets: Vec<_> = volumes.into_iter().filter_map(|volume| volume.secret?.secret_name).collect();
        let has = |secret: &str| secrets.iter().any(|name| name == secret);
        let tls = has(names::SIMPLE_AUTHENTICATION);
        let has_authority = tls && has_authority(cluster).await;
        Some(Self { tls, has_authority, password: has(names::SIMPLE_HTPASSWD) })
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
