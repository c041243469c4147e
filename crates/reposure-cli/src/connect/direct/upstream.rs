//! Where a registry is, by its own word.

use std::time::Duration;

use anyhow::{Context as _, Result};
use reposure_api::{Registry, RegistryScheme, Target};
use reposure_oci::{Endpoint, Scheme};
use tokio::{net::lookup_host, time::timeout};
use url::Url;

use super::Sought;
use crate::{
    context::Cluster,
    exit::{Failure, Kind},
    roles::Grant,
};

/// How long a name may take to be resolved: a resolver that is asked for a name of the cluster's elsewhere may not answer at all.
const RESOLVE: Duration = Duration::from_secs(2);

/// Where a registry is.
pub(super) struct Upstream<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) registry: &'a Registry,
    pub(super) target: Target,
    pub(super) scheme: RegistryScheme,
    /// `host` or `host:port`, as dialled.
    pub(super) host: String,
}

impl<'a> Upstream<'a> {
    /// Finds out where a registry is.
    pub(super) async fn of(cluster: &'a Cluster, sought: &'a Sought) -> Result<Self> {
        let (namespace, name) = (cluster.namespace.as_str(), sought.name.as_str());
        let registry = sought.known().ok_or_else(|| unreadable(namespace, name))?;
        let target = registry.spec.target(namespace).map_err(|error| {
            Failure::new(Kind::Usage, format!("registry {name} in namespace {namespace}: {error}"))
        })?;
        let host = dialled(&target, registry).await;
        let scheme = registry.spec.scheme(&target);
        Ok(Self { cluster, namespace, name, registry, target, scheme, host })
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint> {
        let scheme = match self.scheme {
            RegistryScheme::Http => Scheme::Http,
            RegistryScheme::Https => Scheme::Https,
        };
        Ok(Endpoint::new(scheme, &self.host)?)
    }

    /// Returns where tokens are fetched, as the registry's own word does not say.
    pub(super) fn realm(&self) -> Result<Option<Url>> {
        let realm = self.registry.spec.realm().map(Url::parse).transpose();
        realm.with_context(|| {
            format!("registry {} in namespace {} names a realm that is none", self.name, self.namespace)
        })
    }

    /// Returns the scheme and host of where tokens are fetched, if that is not the registry itself.
    pub(super) fn other_realm(&self) -> Option<String> {
        let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
        let own = self.endpoint().ok().and_then(|endpoint| origin(&endpoint.to_string()));
        let realm = origin(self.registry.spec.realm()?);
        if realm == own { None } else { Some(realm?.ascii_serialization()) }
    }
}

fn unreadable(namespace: &str, name: &str) -> Failure {
    let message =
        format!("you may not read registry {name} in namespace {namespace}, which says where it is");
    let role =
        Grant::new("reposure-registry", namespace, &["get"], "registries.reposure.puccini.cloud", name);
    let hint = format!("ask for the right to, with your name for USER: {role}");
    Failure::new(Kind::Denied, message).hint(hint)
}

/// Returns the host that is dialled: for a Service its name, as its surrogate does, or where nobody knows that name the address that
/// its operator has published.
async fn dialled(target: &Target, registry: &Registry) -> String {
    let name = target.dial_host();
    // What nodes alone reach is no address for others.
    let published = registry.status.as_ref().filter(|_| registry.spec.image_host.is_none());
    let published = published.and_then(|status| status.host.clone());
    match (target, published) {
        (Target::Service { .. }, Some(address)) if address != name && !is_known(&name).await => {
            tracing::info!("{name} is not known here; {address} is its published address");
            address
        }
        _ => name,
    }
}

async fn is_known(host: &str) -> bool {
    matches!(timeout(RESOLVE, lookup_host(host)).await, Ok(Ok(_)))
}
