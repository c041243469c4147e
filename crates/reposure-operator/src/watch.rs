//! What is watched, and which registries it triggers.

use std::fmt::Debug;

use futures::{Stream, StreamExt as _, stream::BoxStream, stream::SelectAll};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Pod, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::PartialObjectMeta,
    core::NamespaceResourceScope,
    runtime::{
        PredicateConfig, WatchStreamExt as _,
        controller::{ReconcileRequest, trigger_owners, trigger_self, trigger_with},
        predicates,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use reposure_api::{
    Registry, Target,
    labels::{MANAGED_BY, NAME, OPERATOR_MANAGER, REGISTRY},
};
use serde::de::DeserializeOwned;

use crate::context::Stores;

type Trigger = Result<ReconcileRequest<Registry>, watcher::Error>;

/// Watches everything in `namespace`, or in all of them; `NetworkPolicies` only where they are made. Returns what is seen, and what triggers reconciliations; what is
/// seen is up to date as long as the latter is polled.
pub(crate) fn watch(
    client: &Client,
    namespace: Option<&str>,
    network_policies: bool,
) -> (Stores, SelectAll<BoxStream<'static, Trigger>>) {
    let (registries, own) = registries(api(client, namespace));
    let (pods, of_pods) = pods(api(client, namespace));
    let (stateful_sets, of_sets) = owned::<StatefulSet>(api(client, namespace));
    let (config_maps, of_maps) = owned::<ConfigMap>(api(client, namespace));
    let (service_accounts, of_accounts) = owned::<ServiceAccount>(api(client, namespace));
    let of_services = services(api(client, namespace), registries.clone());
    let mut triggers = SelectAll::new();
    triggers.extend([own, of_pods, of_sets, of_maps, of_accounts, of_services]);
    let network_policies = network_policies.then(|| {
        let (policies, of_policies) = owned::<NetworkPolicy>(api(client, namespace));
        triggers.push(of_policies);
        policies
    });
    let stores = Stores { registries, pods, stateful_sets, config_maps, service_accounts, network_policies };
    (stores, triggers)
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Watches registries. Changes of their status trigger nothing: it is written here.
fn registries(api: Api<Registry>) -> (Store<Registry>, BoxStream<'static, Trigger>) {
    let (store, writer) = reflector::store();
    let stream = watcher(api, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::generation, PredicateConfig::default());
    (store, trigger_self(stream, ()).boxed())
}

/// Watches the pods of surrogates, whose owner is the StatefulSet and not the registry.
fn pods(api: Api<Pod>) -> (Store<Pod>, BoxStream<'static, Trigger>) {
    let (store, writer) = reflector::store();
    let labels = format!("{MANAGED_BY}={OPERATOR_MANAGER},{NAME}=reposure-surrogate");
    let stream = watcher(api, watcher::Config::default().labels(&labels))
        .default_backoff()
        .reflect(writer)
        .touched_objects();
    (store, trigger_with(stream, |pod: Pod| registry_of(&pod)).boxed())
}

fn registry_of(pod: &Pod) -> Option<ObjectRef<Registry>> {
    let name = pod.annotations().get(REGISTRY)?;
    Some(ObjectRef::new(name).within(pod.metadata.namespace.as_deref()?))
}

/// Watches the metadata of the objects that the plan makes.
fn owned<K>(api: Api<PartialObjectMeta<K>>) -> (Store<PartialObjectMeta<K>>, BoxStream<'static, Trigger>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let labels = format!("{MANAGED_BY}={OPERATOR_MANAGER}");
    let stream = watcher(api, watcher::Config::default().labels(&labels))
        .default_backoff()
        .reflect(writer)
        .touched_objects();
    (store, trigger_owners(stream, (), ()).boxed())
}

/// Watches the metadata of Services: one that a registry names is read when it changes.
fn services(
    api: Api<PartialObjectMeta<Service>>,
    registries: Store<Registry>,
) -> BoxStream<'static, Trigger> {
    let stream = watcher(api, watcher::Config::default()).default_backoff().touched_objects();
    trigger_with(changed(stream), move |service: PartialObjectMeta<Service>| {
        let named = registries.state_filter(|registry| names_service(registry, &service));
        named.into_iter().map(|registry| ObjectRef::from_obj(&*registry)).collect::<Vec<_>>()
    })
    .boxed()
}

/// Pins down the type of a stream.
fn changed(
    stream: impl Stream<Item = Result<PartialObjectMeta<Service>, watcher::Error>>,
) -> impl Stream<Item = Result<PartialObjectMeta<Service>, watcher::Error>> {
    stream
}

fn names_service(registry: &Registry, service: &PartialObjectMeta<Service>) -> bool {
    let own = registry.metadata.namespace.as_deref().unwrap_or_default();
    let Ok(Target::Service { namespace, name, .. }) = registry.spec.target(own) else { return false };
    let metadata = &service.metadata;
    metadata.namespace.as_deref() == Some(&*namespace) && metadata.name.as_deref() == Some(&*name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_triggers_the_registries_that_name_it() {
        let registry = |namespace: Option<&str>| -> Registry {
            let indirect = json!({"namespace": namespace, "service": "a", "port": 1});
            serde_json::from_value(json!({"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
                "metadata": {"name": "r", "namespace": "team"}, "spec": {"type": "oci", "indirect": indirect}}))
            .unwrap()
        };
        let mut service = PartialObjectMeta::<Service>::default();
        service.metadata.name = Some("a".into());
        service.metadata.namespace = Some("team".into());
        assert!(names_service(&registry(None), &service));
        assert!(names_service(&registry(Some("team")), &service));
        assert!(!names_service(&registry(Some("other")), &service));
    }

    #[test]
    fn a_pod_triggers_its_registry_by_the_full_name() {
        let mut pod = Pod::default();
        assert!(registry_of(&pod).is_none());
        pod.metadata.namespace = Some("team".into());
        pod.metadata.annotations = Some([(REGISTRY.into(), "a.b".into())].into());
        assert_eq!(registry_of(&pod).unwrap(), ObjectRef::new("a.b").within("team"));
    }
}
