//! Registries that no operator sees to: the command line tool keeps them in the `ConfigMap`s of their surrogates.

use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use reposure_api::{Registry, RegistrySpec, labels};
use serde::{Deserialize, Serialize};

use super::surrogate::Settings;
use crate::object::Manager;

/// The key of the registry itself, where no operator and so no custom resource keeps it.
const KEY: &str = "registry.json";

/// What is kept of a registry, and of how its surrogate was made. A later version may add fields: readers pass over those that they
/// do not know.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    name: String,
    spec: RegistrySpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_pull_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    architectures: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    network_policy: bool,
}

/// Returns the selector, as the API server takes it, of the `ConfigMap`s that keep registries.
pub fn standalone_selector() -> String {
    let application = labels::Application::Surrogate.as_str();
    format!("{}={},{}={application}", labels::MANAGED_BY, Manager::Cli.as_str(), labels::NAME)
}

/// Returns the key and what stands there, of a registry that `settings` keep without a custom resource.
pub(crate) fn kept(registry: &Registry, settings: &Settings) -> Option<(String, String)> {
    if settings.manager != Manager::Cli {
        return None;
    }
    let kept = Kept {
        name: registry.metadata.name.clone().unwrap_or_default(),
        spec: registry.spec.clone(),
        image: Some(settings.image.clone()),
        image_pull_secret: settings.pull_secret.clone(),
        architectures: settings.architectures.clone(),
        network_policy: settings.network_policy,
    };
    let text = serde_json::to_string(&kept).expect("a specification is plain data with names for keys");
    Some((KEY.into(), text))
}

/// Reads the registry that the command line tool keeps in a surrogate's ConfigMap; none if an operator keeps it.
///
/// Its metadata are those of the ConfigMap, so that the label `app.kubernetes.io/managed-by` says who keeps it.
pub fn standalone_registry(config_map: &ConfigMap) -> Option<Registry> {
    let Kept { name, spec, .. } = read(config_map)?;
    let metadata = ObjectMeta {
        name: Some(name),
        namespace: Some(config_map.metadata.namespace.clone()?),
        labels: config_map.metadata.labels.clone(),
        creation_timestamp: config_map.metadata.creation_timestamp.clone(),
        deletion_timestamp: config_map.metadata.deletion_timestamp.clone(),
        // What is made for it goes with what keeps it.
        owner_references: standalone_owner(&config_map.metadata).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    Some(Registry { metadata, spec, status: None })
}

/// Reads the settings that the surrogate of such a registry was made with.
pub fn standalone_settings(config_map: &ConfigMap) -> Option<Settings> {
    let Kept { image, image_pull_secret, architectures, network_policy, .. } = read(config_map)?;
    let new = Settings::new(image?, Manager::Cli);
    Some(Settings { pull_secret: image_pull_secret, architectures, network_policy, ..new })
}

fn read(config_map: &ConfigMap) -> Option<Kept> {
    serde_json::from_str(config_map.data.as_ref()?.get(KEY)?).ok()
}

/// Returns the reference that makes the other objects of a surrogate go with its ConfigMap; none if that was not read from a
/// cluster.
///
/// It blocks nothing: that would take a right which the built-in role `edit` does not hold everywhere.
pub fn standalone_owner(config_map: &ObjectMeta) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: config_map.name.clone()?,
        uid: config_map.uid.clone()?,
        controller: None,
        block_owner_deletion: None,
    })
}
