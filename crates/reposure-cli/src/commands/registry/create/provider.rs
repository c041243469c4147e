//! The providers by name, and what is looked for in the cluster to know of them.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::Api;
use reposure_admin::{
    Provider, Verb,
    plan::{
        ADDON_SERVICE, FoundRegistry, LOCAL_HOSTING, LOCAL_HOSTING_NAMESPACE, LocalHosting,
        MICROK8S_NAMESPACE, MINIKUBE_NAMESPACE, Product,
    },
};
use reposure_api::RegistrySpec;

use crate::{
    context::Cluster,
    exit::{Failure, Kind},
};

use super::{found, simple::Simple};

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
            Self::Harbor => return product(cluster, Product::Harbor, namespace).await,
            Self::Quay => return product(cluster, Product::Quay, namespace).await,
        };
        Ok(provider.spec().ok_or_else(|| unreachable(&provider))?)
    }

    /// Returns how to reach the provider's registry if it is there, as far as that may be seen.
    async fn find(self, cluster: &Cluster) -> Option<RegistrySpec> {
        let provider = match self {
            Self::Auto => None,
            Self::Simple => return Simple::find(cluster).await.map(Simple::spec),
            Self::Openshift => has_image_streams(cluster).await.then_some(Provider::OpenShift),
            Self::Microk8s => has_service(cluster, MICROK8S_NAMESPACE).await.then_some(Provider::MicroK8s),
            Self::Minikube => has_service(cluster, MINIKUBE_NAMESPACE).await.then_some(Provider::Minikube),
            Self::Local => local(cluster).await.ok(),
            Self::Harbor | Self::Quay => {
                let found = found::all(cluster, self.product()?, None).await.ok()?;
                return found.first().map(FoundRegistry::spec);
            }
        };
        provider?.spec()
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

/// Takes the first provider that is there, and says which, and what else there is.
async fn auto(cluster: &Cluster) -> Result<RegistrySpec> {
    let found = futures::future::join_all(FOUND.map(|name| name.find(cluster))).await;
    let mut found = FOUND.into_iter().zip(found).filter_map(|(name, spec)| Some((name, spec?)));
    let Some((name, spec)) = found.next() else {
        let message = "there is no registry that is known by name, or you may not see it";
        return Err(Failure::new(Kind::NotFound, message)
            .hint("reposure simple install, or --host or --service of a registry that is there")
            .into());
    };
    let spec = match name.product() {
        // Anybody may have a Service that looks like one: of several, none is taken without a word.
        Some(one) => product(cluster, one, None).await?,
        None => spec,
    };
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

/// Finds the Service of a product, and says what is left to be said by the user.
async fn product(cluster: &Cluster, product: Product, namespace: Option<&str>) -> Result<RegistrySpec> {
    let found = found::one(cluster, product, namespace).await?;
    let (title, spec) = (product.title(), found.spec());
    eprintln!("found {title} at Service {}/{}:{}", found.namespace, found.service, found.port);
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
