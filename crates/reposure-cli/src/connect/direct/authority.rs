//! Which certificates are trusted: those of `--registry-ca`, or else what the registry names, or else the system's.

use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use reposure_api::{RegistryScheme, target::Authority};
use reposure_oci::TrustAnchors;

use super::{readable::readable, upstream::Upstream};
use crate::exit::{Failure, Kind};

pub(super) async fn trust(upstream: &Upstream<'_>, file: Option<&Path>) -> Result<TrustAnchors> {
    let (name, namespace) = (upstream.name, upstream.namespace);
    match (upstream.scheme, file) {
        (RegistryScheme::Http, None) => Ok(TrustAnchors::System),
        (RegistryScheme::Http, Some(_)) => {
            let message =
                format!("registry {name} in namespace {namespace} says that it is dialled by plain HTTP");
            Err(Failure::new(Kind::Usage, message).hint("leave out --registry-ca").into())
        }
        (RegistryScheme::Https, Some(path)) => {
            let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            tracing::info!("trusting {}", path.display());
            Ok(TrustAnchors::Pem(pem))
        }
        (RegistryScheme::Https, None) => of_registry(upstream).await,
    }
}

async fn of_registry(upstream: &Upstream<'_>) -> Result<TrustAnchors> {
    let (pem, place) = match upstream.registry.spec.authority() {
        None => (None, String::new()),
        Some(Authority::Secret { name, key }) => {
            let data = readable::<Secret>(upstream.cluster, name).await?.and_then(|secret| secret.data);
            let pem = data.and_then(|mut data| data.remove(key)).map(|bytes| bytes.0);
            (pem, format!("{key} of Secret {name}"))
        }
        Some(Authority::ConfigMap { name, key }) => {
            let data = readable::<ConfigMap>(upstream.cluster, name).await?.and_then(|map| map.data);
            let pem = data.and_then(|mut data| data.remove(key)).map(String::into_bytes);
            (pem, format!("{key} of ConfigMap {name}"))
        }
    };
    let Some(pem) = pem else {
        tracing::info!("trusting the authorities of this system");
        return Ok(TrustAnchors::System);
    };
    tracing::info!("trusting {place}");
    Ok(TrustAnchors::Pem(pem))
}
