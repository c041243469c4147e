//! Waits for what was applied, with a deadline. Each wait only needs the right to get what it waits for.
//!
//! Objects are asked for again and again instead of watched: watching needs the rights to list and watch all objects of
//! a kind, which somebody with a Role for single names does not have.

use std::{fmt::Debug, future::Future, time::Duration};

use k8s_openapi::{
    api::apps::v1::{Deployment, StatefulSet},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, Client, Resource, core::NamespaceResourceScope};
use reposure_api::{ConditionType, Registry, State, conditions};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::{
    apply::api,
    error::{AdminError, Verb},
    object::{Object, ObjectName},
};

/// The first pause between two questions.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two questions, as much as a person bears to wait for nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How far something is.
pub(crate) enum Progress<T> {
    /// It is there.
    Done(T),
    /// It is not there yet, and this is seen.
    Waiting(String),
    /// It will not be there, since this.
    Hopeless(String),
}

/// Waits until the definition of `Registry` is established, so that registries can be created.
///
/// # Errors
/// [`AdminError::Deadline`] after `limit`; other [`AdminError`]s when the API server refuses to answer.
pub async fn crd_established(client: &Client, limit: Duration) -> Result<(), AdminError> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let probe = |crd: CustomResourceDefinition| {
        let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
        let established =
            conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True");
        if established { Progress::Done(()) } else { Progress::Waiting("not established yet".into()) }
    };
    until(&api, None, reposure_api::names::CRD, "established", limit, probe).await
}

/// Waits until the Deployment `name` is rolled out and available.
///
/// # Errors
/// [`AdminError::Deadline`] after `limit`; [`AdminError::Hopeless`] if its rollout has failed; other [`AdminError`]s when
/// the API server refuses to answer.
pub async fn deployment_available(
    client: &Client,
    namespace: &str,
    name: &str,
    limit: Duration,
) -> Result<(), AdminError> {
    let api = Api::<Deployment>::namespaced(client.clone(), namespace);
    until(&api, Some(namespace), name, "available", limit, |deployment| deployment_progress(&deployment))
        .await
}

/// Waits until the pod of the StatefulSet `name` runs `image` and is ready.
///
/// # Errors
/// [`AdminError::Deadline`] after `limit`; other [`AdminError`]s when the API server refuses to answer.
pub async fn stateful_set_updated(
    client: &Client,
    namespace: &str,
    name: &str,
    image: &str,
    limit: Duration,
) -> Result<(), AdminError> {
    let api = Api::<StatefulSet>::namespaced(client.clone(), namespace);
    until(&api, Some(namespace), name, "upgraded", limit, |set| set_progress(&set, image)).await
}

fn set_progress(set: &StatefulSet, image: &str) -> Progress<()> {
    let template = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let wanted =
        template.and_then(|pod| pod.containers.first()).and_then(|container| container.image.as_deref());
    if wanted != Some(image) {
        return Progress::Waiting(format!("it is still of {}", wanted.unwrap_or("no image")));
    }
    let status = set.status.clone().unwrap_or_default();
    let current = status.observed_generation >= set.metadata.generation
        && status.update_revision.is_some()
        && status.current_revision == status.update_revision;
    if current && status.ready_replicas.unwrap_or_default() >= 1 {
        return Progress::Done(());
    }
    Progress::Waiting("its pod is being replaced".into())
}

/// Waits until the `Registry` `name` is ready, as its operator says, and returns it.
///
/// # Errors
/// [`AdminError::Deadline`] after `limit`, with the condition's reason and message; [`AdminError::Hopeless`] if its
/// specification is invalid; other [`AdminError`]s when the API server refuses to answer.
pub async fn registry_ready(
    client: &Client,
    namespace: &str,
    name: &str,
    limit: Duration,
) -> Result<Registry, AdminError> {
    let api = Api::<Registry>::namespaced(client.clone(), namespace);
    until(&api, Some(namespace), name, "ready", limit, registry_progress).await
}

/// Waits until the object `name` is owned by whoever has this UID, and controlled so.
///
/// # Errors
/// [`AdminError::Deadline`] after `limit`; other [`AdminError`]s when the API server refuses to answer.
pub async fn owned<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
    limit: Duration,
) -> Result<(), AdminError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let probe = |object: K| {
        let owners = object.meta().owner_references.iter().flatten();
        let mut controllers = owners.filter(|owner| owner.controller == Some(true));
        if controllers.any(|owner| owner.uid == uid) {
            return Progress::Done(());
        }
        Progress::Waiting("no operator has taken it over: is one installed for this namespace?".into())
    };
    until(&api, Some(namespace), name, "kept by an operator", limit, probe).await
}

/// Waits until there is no object of the name of `object`.
///
/// # Errors
/// [`AdminError::Deadline`] after `limit`; other [`AdminError`]s when the API server refuses to answer.
pub async fn deleted(client: &Client, object: &Object, limit: Duration) -> Result<(), AdminError> {
    let name = object.name();
    let api = api(client, &object.resource(), name.namespace.as_deref());
    let probe = async || match api.get_metadata_opt(&name.name).await {
        Ok(None) => Ok(Progress::Done(())),
        Ok(Some(object)) => Ok(Progress::Waiting(what_holds(object.metadata.finalizers.as_deref()))),
        Err(error) => Err(AdminError::new(Verb::Get, &name, error)),
    };
    poll(&name, "deleted", limit, probe).await
}

fn what_holds(finalizers: Option<&[String]>) -> String {
    match finalizers {
        Some(finalizers) if !finalizers.is_empty() => format!("held by finalizers {}", finalizers.join(", ")),
        _ => "still there".into(),
    }
}

fn deployment_progress(deployment: &Deployment) -> Progress<()> {
    let Some(status) = &deployment.status else { return Progress::Waiting("not seen yet".into()) };
    let seen = status.observed_generation >= deployment.metadata.generation;
    let find = |type_| status.conditions.iter().flatten().find(|condition| condition.type_ == type_);
    if let Some(failed) = find("Progressing").filter(|condition| seen && condition.status == "False") {
        return Progress::Hopeless(failed.message.clone().unwrap_or_default());
    }
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let (updated, available) =
        (status.updated_replicas.unwrap_or_default(), status.available_replicas.unwrap_or_default());
    let old = status.replicas.unwrap_or_default() > updated;
    if seen && updated >= wanted && available >= wanted && !old {
        return Progress::Done(());
    }
    let failure = find("ReplicaFailure").and_then(|condition| condition.message.clone());
    Progress::Waiting(failure.unwrap_or_else(|| format!("{available} of {wanted} pods are available")))
}

fn registry_progress(registry: Registry) -> Progress<Registry> {
    let Some(status) = &registry.status else {
        return Progress::Waiting("no operator has seen it yet: is one installed for this namespace?".into());
    };
    let Some(ready) = conditions::find(&status.conditions, ConditionType::Ready) else {
        return Progress::Waiting("no operator has seen it yet: is one installed for this namespace?".into());
    };
    let seen = status.observed_generation >= registry.metadata.generation;
    let said = format!("{}: {}", ready.reason, ready.message);
    match conditions::state(&status.conditions, ConditionType::Ready) {
        _ if !seen => Progress::Waiting("its operator has not seen the newest specification yet".into()),
        State::True => Progress::Done(registry),
        _ if ready.reason == "InvalidSpec" => Progress::Hopeless(said),
        _ => Progress::Waiting(said),
    }
}

async fn until<K, T>(
    api: &Api<K>,
    namespace: Option<&str>,
    name: &str,
    goal: &'static str,
    limit: Duration,
    check: impl Fn(K) -> Progress<T>,
) -> Result<T, AdminError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let name = ObjectName::of::<K>(namespace, name);
    let probe = async || match api.get_opt(&name.name).await {
        Ok(Some(object)) => Ok(check(object)),
        Ok(None) => Ok(Progress::Waiting("it does not exist".into())),
        Err(error) => Err(AdminError::new(Verb::Get, &name, error)),
    };
    poll(&name, goal, limit, probe).await
}

/// Asks until done. An error that may pass by itself counts as waiting.
pub(crate) async fn poll<T, F>(
    object: &ObjectName,
    goal: &'static str,
    limit: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T, AdminError>
where
    F: Future<Output = Result<Progress<T>, AdminError>>,
{
    let end = Instant::now() + limit;
    let mut pause = SHORTEST_PAUSE;
    let mut last = String::from("the API server has not answered");
    loop {
        match tokio::time::timeout_at(end, probe()).await {
            Ok(Ok(Progress::Done(value))) => return Ok(value),
            Ok(Ok(Progress::Hopeless(reason))) => {
                return Err(AdminError::Hopeless { object: Box::new(object.clone()), goal, reason });
            }
            Ok(Ok(Progress::Waiting(seen))) => last = seen,
            Ok(Err(error)) if error.is_transient() => last = error.to_string(),
            Ok(Err(error)) => return Err(error),
            Err(_elapsed) => {}
        }
        if Instant::now() + pause >= end {
            return Err(AdminError::Deadline { object: Box::new(object.clone()), goal, waited: limit, last });
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said<T>(progress: &Progress<T>) -> &str {
        match progress {
            Progress::Done(_) => "done",
            Progress::Waiting(text) | Progress::Hopeless(text) => text,
        }
    }

    fn registry(observed: i64, status: &str, reason: &str) -> Progress<Registry> {
        let condition = json!({"type": "Ready", "status": status, "reason": reason, "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let registry = json!({"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
            "metadata": {"name": "a", "generation": 2}, "spec": {"type": "oci"},
            "status": {"observedGeneration": observed, "conditions": [condition]}});
        registry_progress(serde_json::from_value(registry).unwrap())
    }

    #[test]
    fn a_registry_is_ready_when_its_newest_specification_is() {
        assert_eq!(said(&registry(2, "True", "Ready")), "done");
        assert!(said(&registry(1, "True", "Ready")).contains("newest specification"));
        assert_eq!(said(&registry(2, "False", "Unauthorized")), "Unauthorized: m");
        assert!(matches!(registry(2, "False", "InvalidSpec"), Progress::Hopeless(_)));
        assert!(said(&registry_progress(Registry::default())).contains("no operator"));
    }

    fn deployment(status: &Value) -> Progress<()> {
        let deployment = json!({"metadata": {"generation": 2}, "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": status});
        deployment_progress(&serde_json::from_value(deployment).unwrap())
    }

    #[test]
    fn a_deployment_is_available_when_its_newest_pods_are() {
        let new =
            json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
        assert_eq!(said(&deployment(&new)), "done");
        let mut unseen = new.clone();
        unseen["observedGeneration"] = json!(1);
        assert_eq!(said(&deployment(&unseen)), "1 of 1 pods are available");
        let mut old = new.clone();
        old["replicas"] = json!(2);
        assert!(matches!(deployment(&old), Progress::Waiting(_)));
        let mut failed = new;
        failed["conditions"] =
            json!([{"type": "Progressing", "status": "False", "message": "deadline exceeded"}]);
        assert!(matches!(deployment(&failed), Progress::Hopeless(_)));
    }
}
