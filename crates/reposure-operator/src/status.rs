//! Writes the status of a registry, when it changes.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{
    Api, Client, Resource as _,
    api::{Patch, PatchParams},
};
use reposure_admin::Manager;
use reposure_api::{ConditionType, NewCondition, Registry, RegistryStatus, conditions};
use serde_json::json;

/// Where the surrogate and the registry are, if the specification says so.
pub(crate) struct Places {
    pub(crate) pod: String,
    pub(crate) host: String,
    /// When the certificate ends that was shown last, RFC 3339.
    pub(crate) certificate_expires: Option<String>,
}

/// Returns the status that `registry` should have at `now`.
pub(crate) fn status(
    registry: &Registry,
    places: Option<Places>,
    new: &[NewCondition],
    now: Timestamp,
) -> RegistryStatus {
    let generation = registry.metadata.generation;
    let mut status = registry.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    // The surrogate of an earlier specification stays, and so does its place.
    if let Some(Places { pod, host, certificate_expires }) = places {
        status.surrogate_pod = Some(pod);
        status.host = Some(host);
        status.certificate_expires = certificate_expires;
    }
    status.conditions.retain(is_ours);
    for condition in new {
        conditions::set(&mut status.conditions, condition, generation, now);
    }
    status
}

/// Writes `status`, unless `registry` has it already. Conditions of others stay.
pub(crate) async fn write(
    client: &Client,
    registry: &Registry,
    status: &RegistryStatus,
) -> Result<(), kube::Error> {
    if is_written(registry, status) {
        return Ok(());
    }
    let namespace = registry.metadata.namespace.as_deref().unwrap_or_default();
    let api = Api::<Registry>::namespaced(client.clone(), namespace);
    let patch = json!({
        "apiVersion": Registry::api_version(&()),
        "kind": Registry::kind(&()),
        "status": status,
    });
    let name = registry.metadata.name.as_deref().unwrap_or_default();
    let parameters = PatchParams::apply(Manager::Operator.as_str()).force();
    api.patch_status(name, &parameters, &Patch::Apply(&patch)).await.map(drop)
}

fn is_written(registry: &Registry, status: &RegistryStatus) -> bool {
    let mut written = registry.status.clone().unwrap_or_default();
    written.conditions.retain(is_ours);
    written == *status
}

fn is_ours(condition: &Condition) -> bool {
    ConditionType::ALL.iter().any(|type_| type_.as_str() == condition.type_)
}

#[cfg(test)]
mod tests {
    use reposure_api::{Reason, State};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(state: State) -> [NewCondition; 1] {
        [NewCondition::new(ConditionType::Ready, state, Reason::Ready, "")]
    }

    fn places() -> Places {
        Places { pod: "p".into(), host: "h".into(), certificate_expires: Some("2030-01-01T00:00:00Z".into()) }
    }

    #[test]
    fn the_same_again_is_not_written() {
        let mut registry = Registry::default();
        registry.metadata.generation = Some(3);
        let first = status(&registry, Some(places()), &ready(State::True), at(1));
        assert!(!is_written(&registry, &first));
        registry.status = Some(first);
        let second = status(&registry, Some(places()), &ready(State::True), at(2));
        assert!(is_written(&registry, &second));
        assert_eq!(second.observed_generation, Some(3));
        let third = status(&registry, Some(places()), &ready(State::False), at(3));
        assert!(!is_written(&registry, &third));
    }

    #[test]
    fn conditions_of_others_are_neither_taken_over_nor_a_change() {
        let mut registry = Registry::default();
        let mut written = status(&registry, Some(places()), &ready(State::True), at(1));
        let mut foreign = written.conditions[0].clone();
        foreign.type_ = "Foreign".into();
        written.conditions.push(foreign);
        registry.status = Some(written);
        let again = status(&registry, Some(places()), &ready(State::True), at(2));
        assert_eq!(again.conditions.len(), 1);
        assert!(is_written(&registry, &again));
    }

    #[test]
    fn places_stay_while_the_specification_is_invalid() {
        let mut registry = Registry::default();
        registry.status = Some(status(&registry, Some(places()), &ready(State::True), at(1)));
        let invalid = status(&registry, None, &ready(State::False), at(2));
        assert_eq!(invalid.surrogate_pod.as_deref(), Some("p"));
        assert!(invalid.certificate_expires.is_some());
    }
}
