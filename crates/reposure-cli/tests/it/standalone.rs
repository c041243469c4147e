//! Registries that no operator sees to: a `ConfigMap` keeps them.

use reposure_testing::{
    FakeApiServer, MemoryRegistry, Options,
    api_server::{Failure, How},
};
use serde_json::json;

use crate::{TestEnvironment, environment::Output};

const CONFIG_MAP: &str = "/api/v1/namespaces/team/configmaps/reposure-surrogate-default";

struct Scene {
    environment: TestEnvironment,
    api_server: FakeApiServer,
    _registry: MemoryRegistry,
}

impl Scene {
    fn new() -> Self {
        let environment = TestEnvironment::alone();
        let (api_server, registry) =
            (environment.api_server(), environment.other_registry(Options::default()));
        let spec =
            json!({"type": "oci", "direct": {"host": registry.host()}, "imageHost": "localhost:32000"});
        let kept = json!({"name": "default", "spec": spec}).to_string();
        let labels = json!({"app.kubernetes.io/managed-by": "reposure-cli", "app.kubernetes.io/name": "reposure-surrogate"});
        let metadata = json!({"name": "reposure-surrogate-default", "namespace": "team", "labels": labels});
        api_server.put_object(CONFIG_MAP, json!({"metadata": metadata, "data": {"registry.json": kept}}));
        environment.write("file", "content");
        Self { environment, api_server, _registry: registry }
    }

    /// Has a `Registry`, as an operator sees to it.
    fn put_registry(&self, name: &str) {
        let spec = json!({"type": "oci", "direct": {"host": "a"}});
        self.api_server.put_object(
            &format!("/apis/reposure.puccini.cloud/v1alpha1/namespaces/team/registries/{name}"),
            json!({"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
            "metadata": {"name": name, "namespace": "team"}, "spec": spec}),
        );
    }

    fn run(&self, args: &[&str]) -> Output {
        self.environment.run(&[args, &["-k", "config"]].concat())
    }
}

#[test]
fn it_is_found_where_the_kind_is_not_defined_and_where_it_may_not_be_read() {
    let scene = Scene::new();
    let pushed = scene.run(&["image", "push", "default", "app:v1", "file", "--channel=direct"]);
    assert_eq!(pushed.code, 0, "{pushed}");
    scene.api_server.fail(Failure::next("/registries/default", How::Status(403)));
    let listed = scene.run(&["image", "list", "default", "--channel=direct"]);
    assert_eq!((listed.code, listed.text().trim()), (0, "app:v1"), "{listed}");
    let other = scene.run(&["image", "list", "other", "--channel=direct"]);
    assert_eq!(other.code, 3, "{other}");
}

#[test]
fn its_host_is_what_nodes_pull_from() {
    let scene = Scene::new();
    let host = scene.run(&["registry", "info", "default", "host"]);
    assert_eq!((host.code, host.text().trim()), (0, "localhost:32000"), "{host}");
}

#[test]
fn no_other_registry_takes_its_name() {
    let scene = Scene::new();
    let refused = scene.run(&["registry", "create", "default", "--host", "a"]);
    assert_eq!(refused.code, 7, "{refused}");
    assert!(refused.stderr.contains("reposure registry adopt default"), "{refused}");
}

#[test]
fn an_operators_registry_is_not_adopted() {
    let scene = Scene::new();
    let nothing = scene.run(&["registry", "adopt", "other"]);
    assert_eq!(nothing.code, 3, "{nothing}");
    scene.put_registry("second");
    let kept = scene.run(&["registry", "adopt", "second"]);
    assert_eq!(kept.code, 7, "{kept}");
}

#[test]
fn an_operators_registry_is_not_made_standalone() {
    let scene = Scene::new();
    scene.put_registry("second");
    for more in [&[][..], &["--dry-run"]] {
        let create = ["registry", "create", "second", "--standalone", "--host", "a"];
        let refused = scene.run(&[&create, more].concat());
        assert_eq!(refused.code, 7, "{refused}");
        assert!(refused.stderr.contains("reposure registry delete second"), "{refused}");
    }
    assert!(scene.api_server.seen().iter().all(|seen| seen.method == http::Method::GET));
}

/// Returns the kinds of the objects that are shown as YAML.
fn kinds(shown: &Output) -> Vec<String> {
    shown.text().lines().filter_map(|line| line.strip_prefix("kind: ")).map(Into::into).collect()
}

#[test]
fn what_would_be_written_is_shown() {
    let scene = Scene::new();
    let create =
        ["registry", "create", "other", "--standalone", "--host=a:5000", "--network-policy", "--dry-run"];
    let shown = scene.run(&create);
    assert_eq!(shown.code, 0, "{shown}");
    let kinds = kinds(&shown);
    let accounts = ["ServiceAccount"; 4];
    assert_eq!(kinds, [&["ConfigMap"][..], &accounts, &["NetworkPolicy", "StatefulSet"]].concat());
    let json = scene.run(&[&create[..], &["-o", "json"]].concat());
    let objects: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(objects.as_array().unwrap().len(), kinds.len());
    assert!(objects.as_array().unwrap().iter().all(|object| object["metadata"]["namespace"] == "team"));
    assert!(
        scene.api_server.seen().iter().all(|seen| seen.method == http::Method::GET),
        "something was written"
    );
    let alone = scene.run(&["registry", "create", "other", "--host=a", "--dry-run"]);
    assert_eq!(alone.code, 2, "{alone}");
}

#[test]
fn nothing_is_written_where_the_surrogate_needs_rights_too() {
    let scene = Scene::new();
    let create =
        ["registry", "create", "other", "--standalone", "--provider=openshift", "--dry-run", "--wait"];
    let shown = scene.run(&create);
    assert_eq!(shown.code, 0, "{shown}");
    let kinds = kinds(&shown);
    assert!(kinds.ends_with(&["StatefulSet", "Role", "RoleBinding"].map(String::from)), "{kinds:?}");
    // One that is there already gets no rights either.
    let there = ["registry", "create", "default", "--standalone", "--provider=openshift", "--dry-run"];
    assert_eq!(scene.run(&there).code, 0);
    assert!(scene.api_server.seen().iter().all(|seen| seen.method == http::Method::GET));
}

/// A surrogate that answers, and the test in place of what makes its pod.
struct Controlled {
    environment: TestEnvironment,
    api_server: FakeApiServer,
}

impl Controlled {
    const SET: &str = "/apis/apps/v1/namespaces/team/statefulsets/reposure-surrogate-default";
    const POD: &str = "/api/v1/namespaces/team/pods/reposure-surrogate-default-0";

    fn new() -> Self {
        let environment = TestEnvironment::new();
        let api_server = environment.api_server_before_surrogate();
        environment.write_kubeconfig(&api_server);
        Self { environment, api_server }
    }

    fn create(&self, more: &[&str]) -> Output {
        let args = ["registry", "create", "default", "--standalone", "--host=a", "--wait", "--timeout=1s"];
        let mut command = self.environment.reposure();
        command.args(args).args(["--channel=proxy", "-k", "config"]).args(more);
        self.environment.finish(command.env_remove("REPOSURE_SURROGATE"), b"")
    }

    /// Says what was seen of the set, and of which revision the pod is to be.
    fn observe(&self, generation: u32, revision: &str) {
        let mut set = self.api_server.object(Self::SET).unwrap();
        assert_eq!(set["metadata"]["generation"], generation);
        set["status"] = json!({"replicas": 1, "observedGeneration": generation, "updateRevision": revision});
        self.api_server.put_object(Self::SET, set);
    }

    /// Makes a pod, which is ready.
    fn replace_pod(&self, revision: &str) {
        let metadata = json!({"name": "reposure-surrogate-default-0", "namespace": "team",
            "labels": {"controller-revision-hash": revision}});
        let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        self.api_server.put_object(Self::POD, json!({"metadata": metadata, "status": status}));
    }
}

#[test]
fn what_is_waited_for_is_the_pod_of_the_change() {
    let controlled = Controlled::new();
    let missing = controlled.create(&[]);
    assert!(missing.code == 5 && missing.stderr.contains("SurrogateMissing"), "{missing}");
    controlled.observe(1, "first");
    controlled.replace_pod("first");
    assert_eq!(controlled.create(&[]).code, 0, "{}", controlled.create(&[]));
    // It is ready all the time.
    let change = || controlled.create(&["--upload=chunked"]);
    let early = change();
    assert!(early.code == 5 && early.stderr.contains("about to be replaced"), "{early}");
    controlled.observe(2, "second");
    assert_eq!(change().code, 5);
    controlled.replace_pod("second");
    assert_eq!(change().code, 0, "{}", change());
}

#[test]
fn a_surrogate_that_needs_rights_gets_them_before_it_is_waited_for() {
    let environment = TestEnvironment::alone();
    let api_server = environment.api_server();
    let create = ["registry", "create", "default", "--standalone", "--provider=openshift", "-k", "config"];
    let created = environment.run(&[&create[..], &["--wait", "--timeout=1s"]].concat());
    assert!(created.code == 5 && created.stderr.contains("SurrogateMissing"), "{created}");
    let kinds = ["roles", "rolebindings"].map(|kind| {
        let role = "reposure-surrogate-default:imagestreams";
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/team/{kind}/{role}")
    });
    assert!(kinds.iter().all(|path| api_server.object(path).is_some()), "{:?}", api_server.seen());
}
