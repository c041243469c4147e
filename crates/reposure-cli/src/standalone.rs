//! Registries that no operator sees to: they are kept in the `ConfigMap`s of their surrogates, and what is known of them is asked.

use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Pod, Service},
    },
    jiff::Timestamp,
};
use kube::{Api, Resource, ResourceExt as _, api::ListParams, core::NamespaceResourceScope};
use reposure_admin::{ServiceState, plan};
use reposure_api::{
    ConditionType, NewCondition, Reason, Registry, RegistryStatus, State, SurrogateNames, Target, conditions,
    labels,
};
use reposure_parcel::hello::Upstream;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    connect::{self, LOOK_DEADLINE, Sought},
    context::{Cluster, Context},
    exit::{Failure, Kind},
};

/// How often a surrogate that is not ready yet is asked.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells whether no operator sees to a registry.
pub(crate) fn is_standalone(registry: &Registry) -> bool {
    registry.labels().get(labels::MANAGED_BY).is_some_and(|manager| manager == labels::CLI_MANAGER)
}

/// Reads the `ConfigMap` that keeps a registry, as far as that may be done: who may not has none.
pub(crate) async fn config_map(cluster: &Cluster, name: &str) -> Option<ConfigMap> {
    look_for(cluster, SurrogateNames::new(name).config_map()).await
}

/// Reads an object, as far as there is one that may be read.
async fn look_for<K>(cluster: &Cluster, name: &str) -> Option<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    timeout(LOOK_DEADLINE, cluster.api::<K>().get_opt(name)).await.ok()?.ok()?
}

/// Finds a registry by its name.
pub(crate) async fn find(cluster: &Cluster, name: &str) -> Option<Registry> {
    plan::standalone_registry(&config_map(cluster, name).await?)
}

/// Lists the registries of a namespace or of all.
///
/// # Errors
/// When the API server gives no list.
pub(crate) async fn list(cluster: &Cluster, all_namespaces: bool) -> kube::Result<Vec<Registry>> {
    let api: Api<ConfigMap> = if all_namespaces { Api::all(cluster.client.clone()) } else { cluster.api() };
    let list = api.list(&ListParams::default().labels(&plan::standalone_selector())).await?;
    Ok(list.items.iter().filter_map(plan::standalone_registry).collect())
}

/// Looks how registries are that no operator sees to; the others' operator says it.
pub(crate) async fn look_at_all(context: &Context, cluster: &Cluster, registries: &mut [Registry]) {
    join_all(registries.iter_mut().map(|registry| look_at(context, cluster, registry))).await;
}

/// Looks how a registry is, if no operator sees to it.
pub(crate) async fn look_at(context: &Context, cluster: &Cluster, registry: &mut Registry) {
    if is_standalone(registry) {
        let namespace = registry.namespace().unwrap_or_else(|| cluster.namespace.clone());
        registry.status = Some(status(context, &cluster.in_namespace(namespace), registry).await);
    }
}

/// Waits until a registry can be used, by a surrogate that was made as it is to be now.
///
/// # Errors
/// When it cannot within `limit`.
pub(crate) async fn wait(
    context: &Context,
    cluster: &Cluster,
    registry: &Registry,
    limit: Duration,
) -> Result<()> {
    let begin = Instant::now();
    loop {
        let status = status(context, cluster, registry).await;
        if conditions::state(&status.conditions, ConditionType::Ready) == State::True {
            return Ok(());
        }
        if begin.elapsed() >= limit {
            let ready = conditions::find(&status.conditions, ConditionType::Ready);
            let why = ready.map(|ready| format!(": {}: {}", ready.reason, ready.message)).unwrap_or_default();
            let (name, waited) = (registry.name_any(), limit.as_secs());
            let message = format!("registry {name} is not ready after {waited} s{why}");
            return Err(Failure::new(Kind::Unreachable, message)
                .hint(format!("reposure registry describe {name}, reposure registry logs {name}"))
                .into());
        }
        sleep(PAUSE).await;
    }
}

/// What is said of one condition.
type Said = (State, Reason, String);

async fn status(context: &Context, cluster: &Cluster, registry: &Registry) -> RegistryStatus {
    let names = SurrogateNames::new(&registry.name_any());
    let (surrogate, host) = tokio::join!(surrogate(cluster, &names), host(cluster, registry));
    let (reachable, certificate_expires) = match surrogate.0 {
        State::True => reachable(context, cluster, registry).await,
        _ => ((State::Unknown, surrogate.1, "the surrogate is not ready".to_owned()), None),
    };
    let mut status = RegistryStatus {
        surrogate_pod: Some(names.pod()),
        host,
        certificate_expires,
        ..RegistryStatus::default()
    };
    for (type_, (state, reason, message)) in [
        (ConditionType::Ready, ready(&surrogate, &reachable)),
        (ConditionType::SurrogateReady, surrogate),
        (ConditionType::RegistryReachable, reachable),
    ] {
        let condition = NewCondition::new(type_, state, reason, message);
        conditions::set(&mut status.conditions, &condition, None, Timestamp::now());
    }
    status
}

/// Both must hold; else the first that does not says why.
fn ready(surrogate: &Said, reachable: &Said) -> Said {
    let (state, reason, message) = if surrogate.0 == State::True { reachable } else { surrogate };
    match state {
        State::True => (State::True, Reason::Ready, message.clone()),
        _ => (State::False, *reason, message.clone()),
    }
}

/// Looks at the surrogate's pod, and whether it is to stay.
async fn surrogate(cluster: &Cluster, names: &SurrogateNames) -> Said {
    let pod = names.pod();
    let (pod, set) = tokio::join!(look_for(cluster, &pod), look_for(cluster, names.stateful_set()));
    of_pod(pod.as_ref(), set.as_ref())
}

/// Whoever may not read the StatefulSet is told of the pod as it is.
fn of_pod(pod: Option<&Pod>, set: Option<&StatefulSet>) -> Said {
    let Some(ready) = pod.filter(|pod| plan::pod::is_ready(pod)) else {
        let (reason, message) = plan::pod::why_not_ready(pod);
        return (State::False, reason, message);
    };
    if set.is_some_and(|set| !plan::pod::is_of_newest(ready, set)) {
        let message = "its pod is about to be replaced by one of the newest settings";
        return (State::False, Reason::SurrogateStarting, message.into());
    }
    (State::True, Reason::SurrogateRunning, "its pod is ready".into())
}

/// Asks the surrogate itself, also when the registry's certificate ends.
async fn reachable(context: &Context, cluster: &Cluster, registry: &Registry) -> (Said, Option<String>) {
    let sought = Sought::known_as(registry.clone());
    match connect::hello(cluster, &sought, context.global.channel).await {
        Ok(hello) => {
            let end = hello.upstream.certificate.as_ref().map(|shown| shown.not_after.clone());
            (of_upstream(hello.upstream), end)
        }
        Err(error) => ((State::Unknown, Reason::StatusUnavailable, crate::exit::chain(&error)), None),
    }
}

fn of_upstream(upstream: Upstream) -> Said {
    let Upstream { host, reachable, problem, .. } = upstream;
    match problem {
        None if reachable => (State::True, Reason::Reachable, format!("{host} answers")),
        None => (State::Unknown, Reason::Pending, format!("{host} has not been asked yet")),
        Some(problem) => (State::False, Reason::Failed, problem),
    }
}

/// Returns what pods put before an image's name, as far as it may be known.
async fn host(cluster: &Cluster, registry: &Registry) -> Option<String> {
    let target = registry.spec.target(&cluster.namespace).ok()?;
    let service = service(cluster, &target).await;
    Some(registry.spec.image_host(&target, service.cluster_ip()))
}

/// Looks for the Service of a registry.
pub(crate) async fn service(cluster: &Cluster, target: &Target) -> ServiceState {
    let Target::Service { namespace, name, .. } = target else { return ServiceState::Unknown };
    let api: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
    match timeout(LOOK_DEADLINE, api.get_opt(name)).await {
        Ok(Ok(service)) => ServiceState::of(service.as_ref()),
        _ => ServiceState::Unknown,
    }
}
