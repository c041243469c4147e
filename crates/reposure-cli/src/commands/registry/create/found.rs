//! Registries of others, looked for by their Services.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::{Api, api::ListParams};
use reposure_admin::{
    AdminError, ObjectName, Verb,
    plan::{FoundRegistry, Product},
};

use crate::{
    context::Cluster,
    exit::{Failure, Kind},
};

/// The most Services that are looked at on one page.
const PAGE: u32 = 500;
/// The most pages.
const PAGES: usize = 20;

/// Finds the one registry of a product, in `namespace` or anywhere.
pub(super) async fn one(
    cluster: &Cluster,
    product: Product,
    namespace: Option<&str>,
) -> Result<FoundRegistry> {
    let place = namespace.map_or_else(|| "any namespace".to_owned(), |name| format!("namespace {name}"));
    let looked_for = || format!("looked in {place} for {}", product.sought());
    let mut found = all(cluster, product, namespace).await.with_context(looked_for)?;
    let title = product.title();
    match (found.pop(), found.pop()) {
        (Some(only), None) => Ok(only),
        (Some(one), Some(other)) => {
            let places =
                [other, one].into_iter().chain(found).map(|it| format!("{}/{}", it.namespace, it.service));
            let places: Vec<_> = places.collect();
            let message = format!("there are several Services of {title}: {}", places.join(", "));
            Err(Failure::new(Kind::Usage, message).hint("--service-namespace chooses one").into())
        }
        (None, _) => {
            let message = format!("there is no Service of {title}: {}", looked_for());
            Err(Failure::new(Kind::NotFound, message)
                .hint("--service NAME, or --host of the registry, with --realm where its tokens are fetched elsewhere")
                .into())
        }
    }
}

/// Finds all registries of a product, and learns what they are known by.
pub(super) async fn all(
    cluster: &Cluster,
    product: Product,
    namespace: Option<&str>,
) -> Result<Vec<FoundRegistry>> {
    let services = match (services(cluster, namespace).await, namespace) {
        // Whoever may not look everywhere may look where it usually is.
        (Err(kube::Error::Api(status)), None) if status.code == 403 => {
            let usual = product.usual_namespace();
            tracing::info!("you may not list Services everywhere; looking in namespace {usual}");
            services(cluster, Some(usual)).await.map_err(|error| failed(Some(usual), error))?
        }
        (services, namespace) => services.map_err(|error| failed(namespace, error))?,
    };
    let found = services.iter().filter_map(|service| product.behind(service));
    Ok(futures::future::join_all(found.map(|found| known(cluster, found))).await)
}

async fn services(cluster: &Cluster, namespace: Option<&str>) -> kube::Result<Vec<Service>> {
    let api: Api<Service> = match namespace {
        Some(namespace) => Api::namespaced(cluster.client.clone(), namespace),
        None => Api::all(cluster.client.clone()),
    };
    let (mut services, mut parameters) = (Vec::new(), ListParams::default().limit(PAGE));
    for _ in 0..PAGES {
        let page = api.list(&parameters).await?;
        services.extend(page.items);
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => parameters = parameters.continue_token(&next),
            None => break,
        }
    }
    Ok(services)
}

/// Learns by which host Harbor is known, if its settings may be read.
async fn known(cluster: &Cluster, found: FoundRegistry) -> FoundRegistry {
    if found.product != Product::Harbor {
        return found;
    }
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &found.namespace);
    match api.get_opt(&found.service).await {
        Ok(Some(config_map)) => found.known_by(&config_map),
        _ => found,
    }
}

fn failed(namespace: Option<&str>, error: kube::Error) -> AdminError {
    AdminError::new(Verb::List, &ObjectName::of::<Service>(namespace, ""), error)
}
