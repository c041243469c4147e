//! A registry by its name, as far as it may be read.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use reposure_api::{
    Registry, SurrogateNames,
    conditions::{self, ConditionType, State},
    names::SIMPLE,
    registry::RegistryStatus,
};
use reposure_client::retry::Backoff;
use reposure_parcel::wire;
use tokio::time::timeout;

use super::{LOOK_DEADLINE, found_or_missing};
use crate::{
    context::Cluster,
    exit::{API_SERVER, Failure, Kind},
    standalone,
};

/// Asks for a registry; once more where the link breaks, as it may at any time.
async fn get(cluster: &Cluster, name: &str) -> Result<kube::Result<Option<Registry>>> {
    let (api, mut backoff) = (cluster.api::<Registry>(), Backoff::new(LINK_PATIENCE));
    loop {
        let found = timeout(LOOK_DEADLINE, api.get_opt(name)).await.map_err(|_| silent(name))?;
        let is_broken = matches!(found, Err(kube::Error::Service(_) | kube::Error::HyperError(_)));
        if !is_broken || !backoff.pause().await {
            return Ok(found);
        }
    }
}

/// Says that the API server gave no answer.
fn silent(name: &str) -> Failure {
    let waited = LOOK_DEADLINE.as_secs();
    let message = format!("the API server did not say within {waited} s whether there is a registry {name}");
    Failure::new(Kind::Unreachable, message).hint(API_SERVER)
}

/// How long a link may be broken before it is said: nobody wants to wait for an address that is wrong.
const LINK_PATIENCE: Duration = Duration::from_secs(1);

/// A registry that somebody wants to work with.
pub(crate) struct Sought {
    pub(crate) name: String,
    /// What is known of it: whoever has the right to a surrogate need not have the right to read registries.
    known: Option<Registry>,
}

impl Sought {
    pub(crate) async fn find(cluster: &Cluster, name: &str) -> Result<Self> {
        // At once, since on a long way each round trip counts.
        let (found, kept) = tokio::join!(get(cluster, name), standalone::find(cluster, name));
        let known = match (found?, kept) {
            (Ok(Some(registry)), _) => Some(registry),
            (_, Some(kept)) => Some(kept),
            (Err(kube::Error::Api(status)), None) if status.code == 403 => None,
            (found, None) => Some(found_or_missing(cluster, name, found).await?),
        };
        Ok(Self { name: name.into(), known })
    }

    /// Takes a registry that was found before.
    pub(crate) fn known_as(registry: Registry) -> Self {
        Self { name: registry.name_any(), known: Some(registry) }
    }

    /// Tells whether it is known that no operator sees to it.
    pub(crate) fn is_standalone(&self) -> bool {
        self.known.as_ref().is_some_and(standalone::is_standalone)
    }

    /// Returns the surrogate's pod: the one that the operator has published, or the one that it gives this name by itself.
    pub(crate) fn pod(&self) -> String {
        let published = self.status().and_then(|status| status.surrogate_pod.clone());
        // It stands in commands that are shown to be copied.
        published.filter(|pod| is_object_name(pod)).unwrap_or_else(|| SurrogateNames::new(&self.name).pod())
    }

    pub(crate) fn port(&self) -> u16 {
        self.known.as_ref().and_then(|registry| registry.spec.surrogate_port).unwrap_or(wire::PORT)
    }

    /// Returns the namespace of the built-in registry, if it is that one; `own` is the namespace of the registry's object.
    pub(crate) fn simple_namespace<'a>(&'a self, own: &'a str) -> Option<&'a str> {
        let service =
            self.known.as_ref()?.spec.indirect.as_ref().filter(|service| service.service == SIMPLE)?;
        Some(service.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own))
    }

    pub(crate) fn conditions(&self) -> &[Condition] {
        self.status().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    fn status(&self) -> Option<&RegistryStatus> {
        self.known.as_ref()?.status.as_ref()
    }

    /// Returns what it says, where it may be read.
    pub(super) const fn known(&self) -> Option<&Registry> {
        self.known.as_ref()
    }

    /// Tells whether it may be read.
    pub(crate) const fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// Tells whether there was a surrogate when its operator last looked, as far as that may be known.
    pub(super) fn is_expected(&self) -> bool {
        !self.is_known()
            || self.is_standalone()
            || conditions::state(self.conditions(), ConditionType::SurrogateReady) == State::True
    }
}
/// Tells whether Kubernetes could have an object of this name.
fn is_object_name(text: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !text.is_empty() && text.bytes().all(may_stand)
}
