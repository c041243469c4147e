//! The plan of a surrogate.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use k8s_openapi::{
    api::core::v1::{Pod, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use reposure_api::{
    Reason, Registry, SpecError, SurrogateNames, Target,
    labels::{self, Application, labels},
};
use reposure_parcel::config::Scheme;

use super::{
    Plan,
    access::service_accounts,
    log_format::LogFormat,
    network_policy,
    surrogate_config::{config, config_map, hash},
    surrogate_pod::stateful_set,
};
use crate::object::Manager;

/// What surrogates have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The image that holds the surrogate, as the kubelet takes it.
    pub image: String,
    /// A Secret in the registry's namespace to pull the image with.
    pub pull_secret: Option<String>,
    /// The unspecified address of the family that the cluster's pods have: `0.0.0.0`, or `::` where they have no IPv4.
    pub listen: IpAddr,
    /// What the image is built for, as nodes name it; any node where it is empty.
    pub architectures: Vec<String>,
    /// How it writes its log; as JSON where it is not said.
    pub log_format: Option<LogFormat>,
    /// Whether a `NetworkPolicy` is planned for each.
    pub network_policy: bool,
    /// Who keeps the objects. With [`Manager::Cli`] the ConfigMap holds the registry too, since no custom resource does.
    pub manager: Manager,
}

impl Settings {
    /// Returns settings with `image`, which runs on any node, for a cluster with IPv4, kept by `manager`.
    pub fn new(image: impl Into<String>, manager: Manager) -> Self {
        Self {
            image: image.into(),
            pull_secret: None,
            listen: Ipv4Addr::UNSPECIFIED.into(),
            architectures: Vec::new(),
            log_format: None,
            network_policy: false,
            manager,
        }
    }
}

/// What a plan depends on beside the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The Service that the registry names.
    pub service: ServiceState,
}

/// The Service that a registry names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServiceState {
    /// It was not looked for, or may not be read. Its surrogate reaches it by name nevertheless.
    #[default]
    Unknown,
    /// It does not exist.
    Missing,
    /// It exists.
    Found {
        /// The address, unless it is headless.
        cluster_ip: Option<IpAddr>,
        /// The TCP ports.
        ports: Vec<u16>,
    },
}

impl ServiceState {
    /// Returns what `service` is.
    pub fn of(service: Option<&Service>) -> Self {
        let Some(service) = service else { return Self::Missing };
        let spec = service.spec.as_ref();
        // `None` for a headless Service, and empty for an external name.
        let cluster_ip = spec.and_then(|spec| spec.cluster_ip.as_deref()).and_then(|text| text.parse().ok());
        let tcp = |protocol: &Option<String>| protocol.as_deref().is_none_or(|name| name == "TCP");
        let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let ports = ports.iter().filter(|port| tcp(&port.protocol));
        Self::Found { cluster_ip, ports: ports.filter_map(|port| u16::try_from(port.port).ok()).collect() }
    }

    /// Returns the address, if it is known.
    pub const fn cluster_ip(&self) -> Option<IpAddr> {
        match self {
            Self::Found { cluster_ip, .. } => *cluster_ip,
            _ => None,
        }
    }
}

/// What makes the surrogate of a registry.
#[derive(Clone, Debug, PartialEq)]
pub struct SurrogatePlan {
    /// The objects, all in the registry's namespace.
    pub plan: Plan,
    /// Where the registry is.
    pub target: Target,
    /// The StatefulSet.
    pub stateful_set: String,
    /// The pod.
    pub pod: String,
    /// What pods put before an image's name.
    pub host: String,
    /// What stands in the registry's way, for its conditions.
    pub problem: Option<(Reason, String)>,
    /// Whether the registry is dialled by TLS.
    pub tls: bool,
    /// Whether credentials are named.
    pub credentials: bool,
    image: String,
    hash: String,
}

impl SurrogatePlan {
    /// Says whether `pod` is of this plan, and not of an earlier one that is about to be replaced.
    pub fn is_current(&self, pod: &Pod) -> bool {
        let annotations = pod.metadata.annotations.as_ref();
        let hash = annotations.and_then(|annotations| annotations.get(labels::CONFIG_HASH));
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        hash == Some(&self.hash)
            && container.and_then(|container| container.image.as_ref()) == Some(&self.image)
    }
}

/// Plans the surrogate of `registry`: ConfigMap, ServiceAccounts, `NetworkPolicy` where it is asked for, StatefulSet.
///
/// A Service that is missing does not hinder the plan: the surrogate reaches it when it comes.
///
/// # Errors
/// [`SpecError`] if the specification cannot be used.
pub fn surrogate(
    registry: &Registry,
    observed: &Observed,
    settings: &Settings,
) -> Result<SurrogatePlan, SpecError> {
    let name = registry.metadata.name.as_deref().unwrap_or_default();
    let namespace = registry.metadata.namespace.as_deref().unwrap_or_default();
    let target = registry.spec.target(namespace)?;
    let host = registry.spec.image_host(&target, observed.service.cluster_ip());
    let config = config(registry, &target, &host, settings);
    let mut objects = vec![config_map(registry, &config, settings).into()];
    objects.extend(service_accounts(registry, settings).into_iter().map(Into::into));
    if settings.network_policy {
        objects.push(network_policy::of_surrogate(registry, &target, &config, settings).into());
    }
    objects.push(stateful_set(registry, &config, settings).into());
    Ok(SurrogatePlan {
        plan: Plan::of(objects),
        stateful_set: SurrogateNames::new(name).stateful_set().into(),
        pod: SurrogateNames::new(name).pod(),
        host,
        problem: problem(&target, &observed.service),
        target,
        tls: config.upstream.scheme == Scheme::Https,
        credentials: config.upstream.credentials.is_some(),
        image: settings.image.clone(),
        hash: hash(&config),
    })
}

fn problem(target: &Target, service: &ServiceState) -> Option<(Reason, String)> {
    let Target::Service { port, .. } = target else { return None };
    match service {
        ServiceState::Missing => Some((Reason::ServiceNotFound, format!("{target} does not exist"))),
        // A headless Service forwards nothing, so that its ports are but names.
        ServiceState::Found { cluster_ip: Some(_), ports } if !ports.contains(port) => {
            let known: Vec<_> = ports.iter().map(ToString::to_string).collect();
            let message = format!("{target} has no such TCP port, but {}", known.join(", "));
            Some((Reason::ServicePortNotFound, message))
        }
        _ => None,
    }
}

/// Returns the metadata of the object `name` of the surrogate of `registry`.
pub(crate) fn metadata(registry: &Registry, name: &str, settings: &Settings) -> ObjectMeta {
    let registry_name = registry.metadata.name.clone().unwrap_or_default();
    ObjectMeta {
        name: Some(name.into()),
        namespace: registry.metadata.namespace.clone(),
        labels: Some(labels(Application::Surrogate, Some(&registry_name), settings.manager.as_str())),
        annotations: Some(BTreeMap::from([(labels::REGISTRY.into(), registry_name)])),
        ..ObjectMeta::default()
    }
}
