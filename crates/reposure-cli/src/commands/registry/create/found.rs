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

/// What came of looking for a product.
pub(super) struct Search {
    pub(super) product: Product,
    pub(super) found: Vec<FoundRegistry>,
    place: String,
    looked_at: LookedAt,
}

/// How many Services were looked at.
enum LookedAt {
    All,
    /// So many, and there are more.
    First(usize),
}

impl Search {
    /// Looks for all registries of a product, in `namespace` or anywhere, and learns what they are known by.
    pub(super) async fn run(cluster: &Cluster, product: Product, namespace: Option<&str>) -> Result<Self> {
        let (listed, namespace) = match (services(cluster, namespace).await, namespace) {
            // Whoever may not look everywhere may look where it usually is.
            (Err(kube::Error::Api(status)), None) if status.code == 403 => {
                let usual = product.usual_namespace();
                tracing::info!("you may not list Services everywhere; looking in namespace {usual}");
                (services(cluster, Some(usual)).await, Some(usual))
            }
            listed => listed,
        };
        let place = namespace.map_or_else(|| "any namespace".to_owned(), |name| format!("namespace {name}"));
        let listed = listed.map_err(|error| failed(namespace, error));
        let (services, looked_at) =
            listed.with_context(|| format!("looked in {place} for {}", product.sought()))?;
        let found = services.iter().filter_map(|service| product.behind(service));
        let found = futures::future::join_all(found.map(|found| known(cluster, found))).await;
        Ok(Self { product, found, place, looked_at })
    }

    /// Says how far it went, if not to the end.
    pub(super) fn limit(&self) -> Option<String> {
        let LookedAt::First(count) = self.looked_at else { return None };
        Some(format!("only the first {count} Services in {} were looked at", self.place))
    }

    /// Returns the one registry that was found.
    pub(super) fn only(&self) -> Result<&FoundRegistry, Failure> {
        match &self.found[..] {
            [only] => Ok(only),
            [] => Err(self.none()),
            several => Err(self.several(several)),
        }
    }

    fn none(&self) -> Failure {
        let (title, sought, place) = (self.product.title(), self.product.sought(), &self.place);
        let message = self.limit().map_or_else(
            || format!("there is no Service of {title}: looked in {place} for {sought}"),
            |limit| format!("found no Service of {title}, but {limit}, for {sought}"),
        );
        let narrower = if self.limit().is_some() { "--service-namespace NAME, " } else { "" };
        let hint =
            "--service NAME, or --host of the registry, with --realm where its tokens are fetched elsewhere";
        Failure::new(Kind::NotFound, message).hint(format!("{narrower}{hint}"))
    }

    fn several(&self, found: &[FoundRegistry]) -> Failure {
        let places: Vec<_> = found.iter().map(|it| format!("{}/{}", it.namespace, it.service)).collect();
        let message =
            format!("there are several Services of {}: {}", self.product.title(), places.join(", "));
        Failure::new(Kind::Usage, message).hint("--service-namespace chooses one")
    }
}

async fn services(cluster: &Cluster, namespace: Option<&str>) -> kube::Result<(Vec<Service>, LookedAt)> {
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
            None => return Ok((services, LookedAt::All)),
        }
    }
    let count = services.len();
    Ok((services, LookedAt::First(count)))
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
    AdminError::new(Verb::List, &ObjectName::of::<Service>(namespace, "*"), error)
}
