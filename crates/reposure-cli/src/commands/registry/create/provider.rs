//! The providers by name, and what is looked for in the cluster to know of them.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::Api;
use reposure_admin::{
    Provider, Verb,
    plan::{
        ADDON_SERVICE, LOCAL_HOSTING, LOCAL_HOSTING_NAMESPACE, LocalHosting, MICROK8S_NAMESPACE,
        MINIKUBE_NAMESPACE, Product,
    },
};
use reposure_api::RegistrySpec;

use crate::{
    context::Cluster,
    exit::{Failure, Kind},
};

use super::{found::Search, simple::Simple};

/// A registry that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProviderName {
    /// What is found, in this order: simple, openshift, microk8s, minikube, local, harbor, quay
    Auto,
    /// The one of `reposure simple install`
    Simple,
    /// Minikube's add-on
    Minikube,
    /// MicroK8s' add-on
    Microk8s,
    /// OpenShift's internal registry
    Openshift,
    /// That of a local cluster: kind, k3d, Tilt and others tell of it in kube-public/local-registry-hosting
    Local,
    /// Harbor, by the Service of its core; --authorization-secret names a user or a robot
    Harbor,
    /// Quay, by the Service of its operator; --authorization-secret names a user or a robot
    Quay,
}

/// The providers that `auto` looks for, in this order.
const FOUND: [ProviderName; 7] = [
    ProviderName::Simple,
    ProviderName::Openshift,
    ProviderName::Microk8s,
    ProviderName::Minikube,
    ProviderName::Local,
    ProviderName::Harbor,
    ProviderName::Quay,
];

impl ProviderName {
    /// Looks in the cluster for what is to be known of the provider, and returns how to reach its registry.
    ///
    /// The Service of a provider that may be anywhere is looked for in `namespace`, where one is given.
    pub(super) async fn spec(self, cluster: &Cluster, namespace: Option<&str>) -> Result<RegistrySpec> {
        if namespace.is_some() && self.product().is_none() {
            let message = format!("--service-namespace says nothing to provider {}", self.name());
            return Err(Failure::new(Kind::Usage, message).hint("leave it out").into());
        }
        let provider = match self {
            Self::Auto => return auto(cluster).await,
            Self::Simple => return Ok(Simple::find(cluster).await.unwrap_or_default().spec()),
            Self::Minikube => Provider::Minikube,
            Self::Microk8s => Provider::MicroK8s,
            Self::Openshift => Provider::OpenShift,
            Self::Local => local(cluster).await.context("cannot learn where the local registry is")?,
            Self::Harbor => return only(&Search::run(cluster, Product::Harbor, namespace).await?),
            Self::Quay => return only(&Search::run(cluster, Product::Quay, namespace).await?),
        };
        Ok(provider.spec().ok_or_else(|| unreachable(&provider))?)
    }

    /// Looks for the provider, as far as that may be seen.
    async fn find(self, cluster: &Cluster) -> Option<Found> {
        let provider = match self {
            Self::Auto => None,
            Self::Simple => return Some(Found::one(Simple::find(cluster).await?.spec())),
            Self::Openshift => has_image_streams(cluster).await.then_some(Provider::OpenShift),
            Self::Microk8s => has_service(cluster, MICROK8S_NAMESPACE).await.then_some(Provider::MicroK8s),
            Self::Minikube => has_service(cluster, MINIKUBE_NAMESPACE).await.then_some(Provider::Minikube),
            Self::Local => local(cluster).await.ok(),
            Self::Harbor | Self::Quay => {
                return Search::run(cluster, self.product()?, None).await.ok().map(Found::Services);
            }
        };
        provider?.spec().map(Found::one)
    }

    /// Returns the product that is looked for by its Service.
    const fn product(self) -> Option<Product> {
        match self {
            Self::Harbor => Some(Product::Harbor),
            Self::Quay => Some(Product::Quay),
            _ => None,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What came of looking for a provider.
enum Found {
    /// How to reach its registry.
    One(Box<RegistrySpec>),
    /// The Services that look like its registry's, which anybody may have.
    Services(Search),
}

impl Found {
    fn one(spec: RegistrySpec) -> Self {
        Self::One(Box::new(spec))
    }

    const fn is_there(&self) -> bool {
        match self {
            Self::One(_) => true,
            Self::Services(search) => !search.found.is_empty(),
        }
    }

    fn limit(&self) -> Option<String> {
        match self {
            Self::One(_) => None,
            Self::Services(search) => search.limit(),
        }
    }

    /// Returns how to reach the registry. Of several Services none is taken without a word.
    fn spec(self) -> Result<RegistrySpec> {
        match self {
            Self::One(spec) => Ok(*spec),
            Self::Services(search) => only(&search),
        }
    }
}

/// Takes the first provider that is there, and says which, and what else there is.
async fn auto(cluster: &Cluster) -> Result<RegistrySpec> {
    let looked = futures::future::join_all(FOUND.map(|name| name.find(cluster))).await;
    let limit = looked.iter().flatten().find_map(Found::limit);
    let there = |found: Option<Found>| found.filter(Found::is_there);
    let mut found = FOUND.into_iter().zip(looked).filter_map(|(name, found)| Some((name, there(found)?)));
    let Some((name, first)) = found.next() else {
        let limit = limit.map(|limit| format!("; {limit}")).unwrap_or_default();
        let message = format!("there is no registry that is known by name, or you may not see it{limit}");
        return Err(Failure::new(Kind::NotFound, message)
            .hint("reposure simple install, or --host or --service of a registry that is there")
            .into());
    };
    let spec = first.spec()?;
    let others: Vec<String> = found.map(|(name, _)| name.name()).collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!("; there is {} too: --provider chooses", others.join(", "))
    };
    let place =
        spec.target(&cluster.namespace).map_or_else(|_| String::new(), |target| format!(" at {target}"));
    eprintln!("found provider {}{place}{others}", name.name());
    Ok(spec)
}

/// Takes the one Service that was found of a product, and says what is left to be said by the user.
fn only(search: &Search) -> Result<RegistrySpec> {
    let found = search.only()?;
    let (title, spec) = (search.product.title(), found.spec());
    eprintln!("found {title} at Service {}/{}:{}", found.namespace, found.service, found.port);
    if let Some(limit) = search.limit() {
        eprintln!("there may be another one: {limit}");
    }
    if spec.image_host.is_none() {
        eprintln!("nodes know {title} by another host, which could not be learnt: --image-host names it");
    }
    Ok(spec)
}

/// Reads what the cluster says of its local registry.
async fn local(cluster: &Cluster) -> Result<Provider> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), LOCAL_HOSTING_NAMESPACE);
    let name = format!("{LOCAL_HOSTING_NAMESPACE}/{LOCAL_HOSTING}");
    let found = api.get_opt(LOCAL_HOSTING).await;
    let found = found.map_err(|error| cluster.failed::<ConfigMap>(Verb::Get, &name, error))?;
    let Some(config_map) = found else {
        return Err(Failure::new(Kind::NotFound, format!("there is no ConfigMap {name}"))
            .hint("--host of the registry, as pods reach it")
            .into());
    };
    let hosting = LocalHosting::of(&config_map).with_context(|| format!("cannot read ConfigMap {name}"))?;
    Ok(Provider::Local(hosting))
}

/// Says that pods do not reach what a cluster tells of.
fn unreachable(provider: &Provider) -> Failure {
    let from_nodes = match provider {
        Provider::Local(hosting) => hosting.image_host().unwrap_or("nowhere"),
        _ => "nowhere",
    };
    let message = format!(
        "the cluster says of its registry where nodes find it, {from_nodes}, and not where pods do: hostFromClusterNetwork is missing"
    );
    Failure::new(Kind::NotFound, message).hint("--host of the registry, as pods reach it")
}

async fn has_service(cluster: &Cluster, namespace: &str) -> bool {
    let api: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
    matches!(api.get_opt(ADDON_SERVICE).await, Ok(Some(_)))
}

/// Asks what the cluster serves, which anyone may.
async fn has_image_streams(cluster: &Cluster) -> bool {
    let groups = cluster.client.list_api_groups().await;
    groups.is_ok_and(|list| list.groups.iter().any(|group| group.name == "image.openshift.io"))
}
