//! Registries made from options.

use k8s_openapi::api::core::v1::ConfigMap;
use reposure_admin::{Manager, Object, Observed, Provider, RegistryOptions, Settings, plan};
use serde_json::json;

fn provided(provider: Provider) -> serde_json::Value {
    let registry = plan::registry(&RegistryOptions::of_provider("work", "default", provider));
    serde_json::to_value(registry.spec).unwrap()
}

#[test]
fn knows_the_providers() {
    let simple = json!({"type": "oci", "indirect": {"service": "reposure-simple", "port": 5000},
        "authenticationSecret": "reposure-simple-authentication"});
    assert_eq!(provided(Provider::Simple { tls: true }), simple);
    let minikube =
        json!({"type": "oci", "indirect": {"namespace": "kube-system", "service": "registry", "port": 80}});
    assert_eq!(provided(Provider::Minikube), minikube);
    assert_eq!(provided(Provider::OpenShift)["authenticationConfigMap"], "openshift-service-ca.crt");
}

#[test]
fn a_standalone_surrogate_keeps_its_registry() {
    let registry = plan::registry(&RegistryOptions::of_provider("work", "a.b", Provider::Minikube));
    let config_map = |manager| {
        let settings = Settings::new("image", manager);
        let plan = plan::surrogate(&registry, &Observed::default(), &settings).unwrap().plan;
        let found = plan.objects().find_map(|object| match object {
            Object::ConfigMap(config_map) => Some((**config_map).clone()),
            _ => None,
        });
        found.unwrap()
    };
    assert_eq!(plan::standalone_registry(&config_map(Manager::Cli)), Some(registry.clone()));
    assert_eq!(plan::standalone_registry(&config_map(Manager::Operator)), None);
    assert_eq!(plan::standalone_registry(&ConfigMap::default()), None);
}
