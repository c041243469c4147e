//! A surrogate that no operator keeps.
//!
//! It takes no more than the rights of the built-in role `edit` in one namespace: neither a definition of `Registry` nor a Role is
//! made.

use std::time::Duration;

use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::ConfigMap},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, ResourceExt as _};
use reposure_api::{Registry, SurrogateNames, labels};

use crate::{
    apply::{self, Applied, ApplyOptions},
    error::{AdminError, Verb},
    object::{Manager, Object, ObjectName},
    plan::{self, Plan, SurrogatePlan},
    wait,
};

/// Carries out the plan of a surrogate that the command line tool keeps: the ConfigMap first, which then owns the rest.
///
/// Dropping the future leaves a part of the objects written; the call can be repeated.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn apply(
    client: &Client,
    registry: &Registry,
    plan: &SurrogatePlan,
) -> Result<Vec<Applied>, AdminError> {
    let is_map = |object: &&Object| matches!(object, Object::ConfigMap(_));
    let (maps, rest): (Vec<&Object>, Vec<&Object>) = plan.plan.objects().partition(is_map);
    let options = ApplyOptions { manager: Manager::Cli, ..ApplyOptions::default() };
    let mut applied = apply::apply_all(client, &Plan::of(maps.into_iter().cloned()), &options).await?;
    let owner = plan::standalone_owner(&config_map(client, registry).await?);
    let options = ApplyOptions { owner, ..options };
    applied.extend(apply::apply_all(client, &Plan::of(rest.into_iter().cloned()), &options).await?);
    Ok(applied)
}

/// Waits until an operator keeps the surrogate of `registry`, a `Registry` of the cluster, and then lets go of what the command line
/// tool kept: its settings in the ConfigMap, and its reference to that.
///
/// Nothing is let go of before, so that a registry that nobody takes over stays as it is. Cancel safe.
///
/// # Errors
/// [`AdminError::Deadline`] if no operator has taken it over within `limit`; other [`AdminError`]s name the object and the verb.
pub async fn hand_over(
    client: &Client,
    registry: &Registry,
    plan: &SurrogatePlan,
    limit: Duration,
) -> Result<(), AdminError> {
    let namespace = registry.namespace().unwrap_or_default();
    let names = SurrogateNames::new(&registry.name_any());
    let uid = registry.uid().unwrap_or_default();
    // The last object of the plan: the others were taken over before it.
    wait::owned::<StatefulSet>(client, &namespace, names.stateful_set(), &uid, limit).await?;
    for object in plan.plan.objects() {
        if matches!(object, Object::NetworkPolicy(_)) && !is_operators(client, object).await? {
            apply::delete(client, object).await?;
        } else {
            apply::release(client, object, Manager::Cli).await?;
        }
    }
    Ok(())
}

/// Tells whether an operator has taken `object` over, which not every operator does with every kind.
async fn is_operators(client: &Client, object: &Object) -> Result<bool, AdminError> {
    let name = object.name();
    let api = apply::api(client, &object.resource(), name.namespace.as_deref());
    let found = api.get_metadata_opt(&name.name).await;
    let found = found.map_err(|error| AdminError::new(Verb::Get, &name, error))?;
    let labels = found.and_then(|found| found.metadata.labels).unwrap_or_default();
    Ok(labels.get(labels::MANAGED_BY).is_some_and(|manager| manager == Manager::Operator.as_str()))
}

/// Reads the metadata of the ConfigMap of the surrogate of `registry`.
async fn config_map(client: &Client, registry: &Registry) -> Result<ObjectMeta, AdminError> {
    let namespace = registry.namespace().unwrap_or_default();
    let names = SurrogateNames::new(&registry.name_any());
    let object = ObjectName::of::<ConfigMap>(Some(&namespace), names.config_map());
    let api = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
    let found = api.get_metadata(names.config_map()).await;
    found.map(|found| found.metadata).map_err(|error| AdminError::new(Verb::Get, &object, error))
}
