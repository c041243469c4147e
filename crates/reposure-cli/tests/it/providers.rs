//! Registries of others: how they are found in the cluster, and what their surrogates need.

use reposure_testing::{
    FakeApiServer,
    api_server::{Failure, How},
};
use serde_json::{Value, json};

use crate::{TestEnvironment, environment::Output};

const SERVICES: &str = "/api/v1/services";

fn harbor(namespace: &str) -> Value {
    json!({"metadata": {"name": "harbor-core", "namespace": namespace},
        "spec": {"ports": [{"name": "http-web", "port": 80}], "selector": {"app": "harbor", "component": "core"}}})
}

fn quay(namespace: &str) -> Value {
    let ports = json!([{"name": "http", "port": 80}, {"name": "https", "port": 443}]);
    json!({"metadata": {"name": "main-quay-app", "namespace": namespace, "labels": {"quay-component": "quay-app"},
            "annotations": {"quay-registry-hostname": "quay.example.com"}},
        "spec": {"ports": ports, "selector": {"quay-component": "quay-app"}}})
}

struct Scene {
    environment: TestEnvironment,
    api_server: FakeApiServer,
}

impl Scene {
    fn new() -> Self {
        let (environment, api_server) = TestEnvironment::with_api_server();
        Self { environment, api_server }
    }

    fn put_list(&self, path: &str, services: &[Value]) {
        let list = json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": services});
        self.api_server.put_object(path, list);
    }

    fn put_services(&self, services: &[Value]) {
        self.put_list(SERVICES, services);
    }

    fn run(&self, args: &[&str]) -> Output {
        self.environment.run(&[&["registry", "create", "a", "-k", "config"], args].concat())
    }

    /// Shows what would be made by a provider: the registry's specification in place of all objects.
    fn create(&self, provider: &str, more: &[&str]) -> Output {
        let provider = format!("--provider={provider}");
        let output = self.run(&[&["--standalone", "--dry-run", "-o=json", &provider], more].concat());
        let objects: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let kept = objects.first().and_then(|map| map["data"]["registry.json"].as_str());
        let kept = kept.map(|kept| serde_json::from_str::<Value>(kept).unwrap());
        let spec = kept.map(|kept| format!("{}\n", kept["spec"])).unwrap_or_default();
        Output { stdout: spec.into(), ..output }
    }
}

#[test]
fn harbor_is_found_by_its_core_and_known_by_what_it_was_told() {
    let scene = Scene::new();
    scene.put_services(&[]);
    insta::assert_snapshot!(scene.create("harbor", &[]), @r"
    [3]
    error: there is no Service of Harbor: looked in any namespace for a Service that selects app=harbor,component=core, or is labelled app.kubernetes.io/name=harbor and app.kubernetes.io/component=core
      try: --service NAME, or --host of the registry, with --realm where its tokens are fetched elsewhere
    ");
    scene.put_services(&[harbor("reg"), quay("quay")]);
    insta::assert_snapshot!(scene.create("harbor", &[]), @r#"
    {"type":"oci","indirect":{"namespace":"reg","service":"harbor-core","port":80},"scheme":"http","kind":"harbor","realm":"http://harbor-core.reg.svc/service/token"}
    [0]
    found Harbor at Service reg/harbor-core:80
    nodes know Harbor by another host, which could not be learnt: --image-host names it
    "#);
    let told =
        json!({"metadata": {"name": "harbor-core"}, "data": {"EXT_ENDPOINT": "https://harbor.example.com"}});
    scene.api_server.put_object("/api/v1/namespaces/reg/configmaps/harbor-core", told);
    insta::assert_snapshot!(scene.create("harbor", &["--authorization-secret=robot"]), @r#"
    {"type":"oci","indirect":{"namespace":"reg","service":"harbor-core","port":80},"scheme":"http","authorizationSecret":"robot","imageHost":"harbor.example.com","kind":"harbor","realm":"http://harbor-core.reg.svc/service/token"}
    [0]
    found Harbor at Service reg/harbor-core:80
    "#);
    insta::assert_snapshot!(scene.create("auto", &[]), @r#"
    {"type":"oci","indirect":{"namespace":"reg","service":"harbor-core","port":80},"scheme":"http","imageHost":"harbor.example.com","kind":"harbor","realm":"http://harbor-core.reg.svc/service/token"}
    [0]
    found Harbor at Service reg/harbor-core:80
    found provider harbor at Service reg/harbor-core:80; there is quay too: --provider chooses
    "#);
}

#[test]
fn quay_is_found_by_its_operators_label() {
    let scene = Scene::new();
    scene.put_services(&[quay("registries")]);
    insta::assert_snapshot!(scene.create("quay", &[]), @r#"
    {"type":"oci","indirect":{"namespace":"registries","service":"main-quay-app","port":443},"scheme":"https","imageHost":"quay.example.com","realm":"https://main-quay-app.registries.svc/v2/auth"}
    [0]
    found Quay at Service registries/main-quay-app:443
    "#);
}

#[test]
fn a_namespace_may_be_named_and_is_looked_in_where_not_all_may_be() {
    let scene = Scene::new();
    scene.put_list("/api/v1/namespaces/team/services", &[harbor("team")]);
    scene.put_list("/api/v1/namespaces/harbor/services", &[harbor("harbor")]);
    scene.put_list("/api/v1/namespaces/quay/services", &[]);
    let named = scene.create("harbor", &["--service-namespace=team"]);
    assert!(named.code == 0 && named.text().contains("harbor-core.team.svc"), "{named}");
    let denied = || scene.api_server.fail(Failure::next(format!("{SERVICES}?"), How::Status(403)));
    denied();
    let usual = scene.create("harbor", &[]);
    assert!(usual.code == 0 && usual.text().contains("harbor-core.harbor.svc"), "{usual}");
    denied();
    insta::assert_snapshot!(scene.create("quay", &[]), @r"
    [3]
    error: there is no Service of Quay: looked in namespace quay for a Service that is labelled quay-component=quay-app
      try: --service NAME, or --host of the registry, with --realm where its tokens are fetched elsewhere
    ");
    denied();
    scene.api_server.fail(Failure::next("/namespaces/quay/services", How::Status(403)));
    insta::assert_snapshot!(scene.create("quay", &[]), @r"
    [4]
    error: looked in namespace quay for a Service that is labelled quay-component=quay-app
      because: not allowed to list Service quay/*: no endpoints available
      try: a Role in namespace quay must allow list on services
    ");
    insta::assert_snapshot!(scene.create("minikube", &["--service-namespace=team"]), @r"
    [2]
    error: --service-namespace says nothing to provider minikube
      try: leave it out
    ");
}

/// Anybody may have a Service that looks like a registry's.
#[test]
fn of_several_none_is_taken_without_a_word() {
    let scene = Scene::new();
    for provider in ["auto", "harbor"] {
        scene.put_services(&[harbor("harbor")]);
        let found = scene.create(provider, &[]);
        assert_eq!(found.code, 0, "{found}");
        assert!(found.text().contains("harbor-core.harbor.svc"), "{found}");
        scene.put_services(&[harbor("a-tenants"), harbor("harbor")]);
        let several = scene.create(provider, &[]);
        assert_eq!(several.code, 2, "{several}");
        let places = "several Services of Harbor: a-tenants/harbor-core, harbor/harbor-core";
        assert!(several.stderr.contains(places), "{several}");
    }
}

#[test]
fn services_are_listed_once_for_each_product() {
    let scene = Scene::new();
    scene.put_services(&[harbor("harbor")]);
    assert_eq!(scene.create("auto", &[]).code, 0);
    let lists = scene.api_server.seen().into_iter().filter(|seen| seen.path.starts_with(SERVICES));
    assert_eq!(lists.count(), 2, "for Harbor and for Quay");
}

#[test]
fn a_search_that_does_not_come_to_the_end_says_so() {
    let scene = Scene::new();
    let other = json!({"metadata": {"name": "other", "namespace": "a"}, "spec": {"ports": [{"port": 80}]}});
    let mut services = vec![other; 10_000];
    services.push(harbor("harbor"));
    scene.put_services(&services);
    insta::assert_snapshot!(scene.create("harbor", &[]), @r"
    [3]
    error: found no Service of Harbor, but only the first 10000 Services in any namespace were looked at, for a Service that selects app=harbor,component=core, or is labelled app.kubernetes.io/name=harbor and app.kubernetes.io/component=core
      try: --service-namespace NAME, --service NAME, or --host of the registry, with --realm where its tokens are fetched elsewhere
    ");
    insta::assert_snapshot!(scene.create("auto", &[]), @r"
    [3]
    error: there is no registry that is known by name, or you may not see it; only the first 10000 Services in any namespace were looked at
      try: reposure simple install, or --host or --service of a registry that is there
    ");
    // That one is found, and it is not known that it is the only one.
    services.rotate_right(1);
    scene.put_services(&services);
    insta::assert_snapshot!(scene.create("auto", &[]).stderr, @r"
    found Harbor at Service harbor/harbor-core:80
    there may be another one: only the first 10000 Services in any namespace were looked at
    nodes know Harbor by another host, which could not be learnt: --image-host names it
    found provider harbor at Service harbor/harbor-core:80
    ");
    services.pop();
    scene.put_services(&services);
    let whole = scene.create("auto", &[]);
    assert!(whole.code == 0 && !whole.stderr.contains("10000"), "{whole}");
}

const ROLE: &str =
    "/apis/rbac.authorization.k8s.io/v1/namespaces/team/roles/reposure-surrogate-a:imagestreams";
const BINDING: &str =
    "/apis/rbac.authorization.k8s.io/v1/namespaces/team/rolebindings/reposure-surrogate-a:imagestreams";

/// What is said of an object, a line for each thing.
fn said(scene: &Scene, path: &str) -> String {
    let object = scene.api_server.object(path).unwrap();
    let rules = object["rules"].as_array().cloned().unwrap_or_default();
    let owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let more = ["roleRef", "subjects"].map(|field| object[field].clone());
    let all = rules.into_iter().chain(owners).chain(more).filter(|value| !value.is_null());
    all.map(|value| value.to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_surrogate_of_openshifts_registry_gets_rights_to_the_image_streams_of_its_project() {
    let scene = Scene::new();
    insta::assert_snapshot!(scene.run(&["--provider=openshift"]), @r"
    registry/a created
    role/reposure-surrogate-a:imagestreams created
    rolebinding/reposure-surrogate-a:imagestreams created
    [0]
    ");
    insta::assert_snapshot!(said(&scene, ROLE), @r#"
    {"apiGroups":["image.openshift.io"],"resources":["imagestreams"],"verbs":["get","list","create"]}
    {"apiGroups":["image.openshift.io"],"resources":["imagestreams/layers"],"verbs":["get","update"]}
    {"apiGroups":["image.openshift.io"],"resources":["imagestreamtags"],"verbs":["delete"]}
    {"apiVersion":"reposure.puccini.cloud/v1alpha1","blockOwnerDeletion":true,"controller":true,"kind":"Registry","name":"a","uid":"uid-of-a"}
    "#);
    insta::assert_snapshot!(said(&scene, BINDING), @r#"
    {"apiVersion":"reposure.puccini.cloud/v1alpha1","blockOwnerDeletion":true,"controller":true,"kind":"Registry","name":"a","uid":"uid-of-a"}
    {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"reposure-surrogate-a:imagestreams"}
    [{"kind":"ServiceAccount","name":"reposure-surrogate-a","namespace":"team"}]
    "#);
    let again = scene.run(&["--provider=openshift"]);
    assert!(again.text().lines().all(|line| line.ends_with("unchanged")), "{again}");
}

#[test]
fn without_an_operator_these_rights_go_with_what_keeps_the_registry() {
    let scene = Scene::new();
    let created = scene.run(&["--provider=openshift", "--standalone"]);
    assert_eq!(created.code, 0, "{created}");
    insta::assert_snapshot!(said(&scene, BINDING), @r#"
    {"apiVersion":"v1","kind":"ConfigMap","name":"reposure-surrogate-a","uid":"uid-of-reposure-surrogate-a"}
    {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"reposure-surrogate-a:imagestreams"}
    [{"kind":"ServiceAccount","name":"reposure-surrogate-a","namespace":"team"}]
    "#);
}

#[test]
fn whoever_may_not_give_these_rights_is_told_who_may() {
    let scene = Scene::new();
    scene.api_server.fail(Failure::next("/roles/", How::Status(403)));
    insta::assert_snapshot!(scene.run(&["--provider=openshift"]), @r"
    registry/a created
    [4]
    error: the registry is known, but you cannot give its surrogate rights to the ImageStreams of the project
      because: not allowed to get Role team/reposure-surrogate-a:imagestreams: no endpoints available
      try: let an administrator of the project do the same: oc policy add-role-to-user admin gives that right
    ");
    // Other credentials need none.
    let other = scene.run(&["--provider=openshift", "--authorization-secret=login"]);
    assert!(other.code == 0 && !other.text().contains("role"), "{other}");
    assert_eq!(scene.api_server.object(ROLE), None);
}
