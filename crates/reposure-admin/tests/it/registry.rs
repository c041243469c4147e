//! Registries made from options.

use k8s_openapi::api::core::v1::ConfigMap;
use reposure_admin::{
    Manager, Object, Observed, Provider, RegistryOptions, Settings, plan, plan::LocalHosting,
};
use reposure_api::Registry;
use serde_json::json;

fn provided(provider: &Provider) -> serde_json::Value {
    serde_json::to_value(provider.spec().unwrap()).unwrap()
}

fn minikube(name: &str) -> Registry {
    let spec = Provider::Minikube.spec().unwrap();
    plan::registry(&RegistryOptions { namespace: "team".into(), name: name.into(), spec })
}

fn config_map(registry: &Registry, settings: &Settings) -> ConfigMap {
    let plan = plan::surrogate(registry, &Observed::default(), settings).unwrap().plan;
    let found = plan.objects().find_map(|object| match object {
        Object::ConfigMap(config_map) => Some((**config_map).clone()),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn knows_the_providers() {
    let simple = json!({"type": "oci", "indirect": {"service": "reposure-simple", "port": 5000},
        "authenticationSecret": "reposure-simple-authentication"});
    assert_eq!(provided(&Provider::Simple { tls: true }), simple);
    let minikube =
        json!({"type": "oci", "indirect": {"namespace": "kube-system", "service": "registry", "port": 80}});
    assert_eq!(provided(&Provider::Minikube), minikube);
    let microk8s = json!({"type": "oci", "imageHost": "localhost:32000",
        "indirect": {"namespace": "container-registry", "service": "registry", "port": 5000}});
    assert_eq!(provided(&Provider::MicroK8s), microk8s);
    let openshift = json!({"type": "oci", "authorizationServiceAccount": true, "kind": "openshift",
        "direct": {"host": "image-registry.openshift-image-registry.svc:5000"},
        "authenticationConfigMap": "openshift-service-ca.crt"});
    assert_eq!(provided(&Provider::OpenShift), openshift);
}

#[test]
fn a_local_registry_is_where_the_cluster_says() {
    let hosting = |pods: Option<&str>, nodes: Option<&str>| LocalHosting {
        host: Some("localhost:5001".into()),
        host_from_cluster_network: pods.map(Into::into),
        host_from_container_runtime: nodes.map(Into::into),
        help: None,
    };
    let at = "k3d-registry:5000";
    let same = json!({"type": "oci", "scheme": "http", "direct": {"host": at}});
    assert_eq!(provided(&Provider::Local(hosting(Some(at), Some(at)))), same);
    let nodes_elsewhere = provided(&Provider::Local(hosting(Some(at), None)));
    assert_eq!(nodes_elsewhere["imageHost"], "localhost:5001");
    assert_eq!(Provider::Local(hosting(None, None)).spec(), None, "pods do not reach it");
}

#[test]
fn a_standalone_surrogate_keeps_its_registry_and_its_settings() {
    let registry = minikube("a.b");
    let mut settings = Settings::new("image", Manager::Cli);
    settings.pull_secret = Some("pull".into());
    settings.architectures = vec!["arm64".into()];
    let kept = config_map(&registry, &settings);
    let found = plan::standalone_registry(&kept).unwrap();
    assert_eq!((&found.spec, &found.metadata.name), (&registry.spec, &registry.metadata.name));
    assert_eq!(found.metadata.namespace, registry.metadata.namespace);
    assert_eq!(plan::standalone_settings(&kept), Some(settings));
    let operators = config_map(&registry, &Settings::new("image", Manager::Operator));
    assert_eq!(plan::standalone_registry(&operators), None);
    assert_eq!(plan::standalone_registry(&ConfigMap::default()), None);
}

#[test]
fn what_another_version_kept_is_read() {
    let read = |text: &str| {
        let mut kept = config_map(&minikube("a"), &Settings::new("image", Manager::Cli));
        kept.data = Some([("registry.json".to_owned(), text.to_owned())].into());
        (plan::standalone_registry(&kept).is_some(), plan::standalone_settings(&kept).is_some())
    };
    let spec = r#""spec":{"type":"oci","direct":{"host":"a"}}"#;
    assert_eq!(read(&format!(r#"{{"name":"a",{spec}}}"#)), (true, false));
    assert_eq!(read(&format!(r#"{{"name":"a",{spec},"image":"i","newer":[1]}}"#)), (true, true));
    assert_eq!(read("{"), (false, false));
}

#[test]
fn the_other_objects_go_with_the_config_map() {
    let mut metadata = config_map(&minikube("a"), &Settings::new("image", Manager::Cli)).metadata;
    assert_eq!(plan::standalone_owner(&metadata), None);
    metadata.uid = Some("u".into());
    let owner = plan::standalone_owner(&metadata).unwrap();
    assert_eq!(
        (owner.kind.as_str(), owner.uid.as_str(), owner.block_owner_deletion),
        ("ConfigMap", "u", None)
    );
}

#[test]
fn the_selector_is_that_of_what_is_kept() {
    let labels = config_map(&minikube("a"), &Settings::new("image", Manager::Cli)).metadata.labels.unwrap();
    let selector = plan::standalone_selector();
    for part in selector.split(',') {
        let (key, value) = part.split_once('=').unwrap();
        assert_eq!(labels[key], value);
    }
}
