//! `reposure operator`: what an operator is bound to, and who takes it away.

use reposure_testing::{
    FakeApiServer,
    api_server::{Failure, How},
};
use serde_json::{Value, json};

use crate::{TestEnvironment, environment::Output};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

struct Scene {
    environment: TestEnvironment,
    api_server: FakeApiServer,
}

impl Scene {
    fn new() -> Self {
        let (environment, api_server) = TestEnvironment::with_api_server();
        let established = json!({"conditions": [{"type": "Established", "status": "True"}]});
        api_server.put_object(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/registries.reposure.puccini.cloud",
            json!({"metadata": {"name": "registries.reposure.puccini.cloud"}, "status": established}),
        );
        Self { environment, api_server }
    }

    /// Runs a command of the operator's on what there is by then.
    fn run(&self, args: &[&str]) -> Output {
        self.list();
        self.environment.run(&[&["operator"], args, &["-k", "config"]].concat())
    }

    fn ok(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{output}");
        output
    }

    /// Lists the bindings that were written and are there still.
    fn list(&self) {
        for kind in ["clusterrolebindings", "rolebindings"] {
            let part = format!("/{kind}/");
            let paths: Vec<String> = self.api_server.seen().into_iter().map(|seen| seen.path).collect();
            let certificates = ["a", "b"].map(certificates);
            let mut paths: Vec<&str> = paths
                .iter()
                .chain(&certificates)
                .filter_map(|path| path.split('?').next())
                .filter(|path| path.contains(&part))
                .collect();
            paths.sort_unstable();
            paths.dedup();
            let items: Vec<Value> = paths.iter().filter_map(|path| self.api_server.object(path)).collect();
            let list = json!({"kind": "List", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {}, "items": items});
            self.api_server.put_object(&format!("{RBAC}/{kind}"), list);
        }
    }

    fn is_there(&self, name: &str) -> bool {
        self.api_server.object(&format!("{RBAC}/{name}")).is_some()
    }

    /// Changes whom the binding of the cluster names.
    fn rebind(&self, namespaces: &[&str]) {
        let path = format!("{RBAC}/clusterrolebindings/reposure-operator");
        let mut binding = self.api_server.object(&path).unwrap();
        let subject = |namespace: &&str| json!({"kind": "ServiceAccount", "name": "reposure-operator", "namespace": namespace});
        binding["subjects"] = namespaces.iter().map(subject).collect();
        self.api_server.put_object(&path, binding);
    }
}

/// Returns where the binding is that lets operators renew the certificate in a namespace.
fn certificates(namespace: &str) -> String {
    format!("{RBAC}/namespaces/{namespace}/rolebindings/reposure-simple-certificates")
}

/// Returns what was deleted.
fn deleted(output: &Output) -> Vec<String> {
    output.text().lines().filter_map(|line| line.strip_suffix(" deleted")).map(Into::into).collect()
}

#[test]
fn one_that_is_installed_with_less_keeps_nothing_of_what_it_had() {
    let scene = Scene::new();
    scene.ok(&["install", "--cluster", "--role=view"]);
    assert!(scene.is_there("clusterrolebindings/reposure-operator-view"));
    let installed = scene.ok(&["install"]);
    assert_eq!(
        deleted(&installed),
        [
            "clusterrolebinding/reposure-operator",
            "clusterrole/reposure-operator",
            "clusterrolebinding/reposure-operator-view"
        ],
    );
    for name in [
        "clusterrolebindings/reposure-operator",
        "clusterrolebindings/reposure-operator-view",
        "clusterroles/reposure-operator",
    ] {
        assert!(!scene.is_there(name), "{name} is left");
    }
    for name in [
        "clusterroles/reposure-view",
        "namespaces/team/rolebindings/reposure-operator",
        "namespaces/team/roles/reposure-operator",
    ] {
        assert!(scene.is_there(name), "{name} is gone");
    }
    assert!(deleted(&scene.ok(&["install"])).is_empty());

    scene.ok(&["install", "--watch=a,b", "--role=edit"]);
    assert!(!scene.is_there("namespaces/team/rolebindings/reposure-operator"));
    assert!(scene.is_there("namespaces/team/rolebindings/reposure-operator-election"));
    scene.ok(&["install", "--watch=a"]);
    for name in [
        "a/rolebindings/reposure-operator-edit",
        "b/rolebindings/reposure-operator-edit",
        "b/rolebindings/reposure-operator",
        "b/roles/reposure-operator",
    ] {
        assert!(!scene.is_there(&format!("namespaces/{name}")), "{name} is left");
    }
    assert!(scene.is_there("namespaces/a/rolebindings/reposure-operator"));
}

#[test]
fn certificates_of_namespaces_that_it_does_not_see_to_are_not_its() {
    let scene = Scene::new();
    scene.ok(&["install", "--watch=a,b"]);
    for namespace in ["a", "b"] {
        let metadata = json!({"name": "reposure-simple-certificates", "namespace": namespace});
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reposure-simple-certificates"});
        let subject = json!({"kind": "ServiceAccount", "name": "reposure-operator", "namespace": "team"});
        let binding = json!({"metadata": metadata, "roleRef": role, "subjects": [subject]});
        scene.api_server.put_object(&certificates(namespace), binding);
    }
    scene.ok(&["upgrade"]);
    let there = || ["a", "b"].map(|namespace| scene.api_server.object(&certificates(namespace)).is_some());
    assert_eq!(there(), [true; 2]);
    scene.ok(&["install", "--watch=a"]);
    assert_eq!(there(), [true, false]);
    scene.ok(&["uninstall"]);
    assert_eq!(there(), [false; 2]);
}

#[test]
fn what_names_another_operator_stays() {
    for others in [&["other"][..], &["other", "team"]] {
        let scene = Scene::new();
        scene.ok(&["install", "--cluster"]);
        scene.rebind(others);
        let changed = scene.ok(&["install"]);
        assert!(deleted(&changed).is_empty(), "{changed}");
        assert_eq!(
            changed.text().contains("clusterrolebinding/reposure-operator configured"),
            others.len() == 2
        );
        let removed = scene.ok(&["uninstall"]);
        assert!(!deleted(&removed).iter().any(|name| name.starts_with("cluster")), "{removed}");
        assert!(
            scene.is_there("clusterrolebindings/reposure-operator")
                && scene.is_there("clusterroles/reposure-operator")
        );
    }
}

#[test]
fn who_may_not_take_a_right_is_told_what_an_administrator_can_do() {
    let scene = Scene::new();
    scene.ok(&["install", "--cluster"]);
    scene.api_server.fail(Failure::next("/clusterrolebindings/reposure-operator", How::Status(403)));
    insta::assert_snapshot!(scene.ok(&["install"]).stderr, @"ClusterRoleBinding reposure-operator still names team/reposure-operator; for an administrator: kubectl delete clusterrolebinding,clusterrole reposure-operator");
    // Neither seen nor known of any more by the Deployment.
    scene.api_server.fail(Failure::next("/clusterrolebindings", How::Status(403)));
    insta::assert_snapshot!(scene.ok(&["install"]).stderr, @"");
    scene.ok(&["install", "--cluster"]);
    scene.api_server.fail(Failure::next("/clusterrolebindings", How::Status(403)));
    insta::assert_snapshot!(scene.ok(&["install", "--watch=a"]).stderr, @"ClusterRoleBinding reposure-operator may still name team/reposure-operator; for an administrator, if it does: kubectl delete clusterrolebinding,clusterrole reposure-operator");
    scene.api_server.fail(Failure::next("v1/rolebindings", How::Status(403)));
    scene.api_server.fail(Failure::next("/a/rolebindings", How::Status(403)));
    insta::assert_snapshot!(scene.ok(&["install"]).stderr, @"RoleBinding a/reposure-operator may still name team/reposure-operator; for an administrator, if it does: kubectl delete --namespace a rolebinding,role reposure-operator");
}

#[test]
fn one_that_is_removed_leaves_nothing_bound() {
    let scene = Scene::new();
    scene.ok(&["install", "--watch=a,b", "--role=view"]);
    let removed = scene.ok(&["uninstall"]);
    insta::assert_snapshot!(removed.stderr, @"what stays: the definition of Registry with its roles, registries' servers and their images, and Secrets");
    for namespace in ["team", "a", "b"] {
        for name in ["reposure-operator", "reposure-operator-view", "reposure-operator-election"] {
            for kind in ["roles", "rolebindings"] {
                let name = format!("namespaces/{namespace}/{kind}/{name}");
                assert!(!scene.is_there(&name), "{name} is left");
            }
        }
    }
    // Where it may not be seen, it is not said that nothing is there.
    scene.ok(&["install"]);
    scene.api_server.fail(Failure::next("/clusterrolebindings", How::Status(403)));
    insta::assert_snapshot!(scene.ok(&["uninstall"]).stderr, @"what stays: the definition of Registry with its roles, registries' servers and their images, and Secrets, and whatever binds it in the whole cluster, which you may not see");
    scene.ok(&["install", "--cluster", "--role=view"]);
    scene.api_server.fail(Failure::next("/clusterrolebindings/reposure-operator-view", How::Status(403)));
    insta::assert_snapshot!(scene.run(&["uninstall", "--cluster"]), @"
    deployment/reposure-operator deleted
    lease/reposure-operator deleted
    serviceaccount/reposure-operator deleted
    clusterrolebinding/reposure-operator deleted
    clusterrole/reposure-operator deleted
    rolebinding/reposure-operator-election deleted
    role/reposure-operator-election deleted
    [4]
    what stays: the definition of Registry with its roles, registries' servers and their images, and Secrets, ClusterRoleBinding reposure-operator-view
    ClusterRoleBinding reposure-operator-view still names team/reposure-operator; for an administrator: kubectl delete clusterrolebinding reposure-operator-view
    error: the operator is gone, but not all that was bound to it
      try: whoever makes a ServiceAccount of its name has those rights: give the commands to an administrator
    ");
    // What is left without a Deployment is found all the same.
    let removed = scene.ok(&["uninstall"]);
    assert_eq!(deleted(&removed), ["clusterrolebinding/reposure-operator-view"], "{removed}");
}

#[test]
fn an_upgrade_keeps_what_was_given_by_hand() {
    let scene = Scene::new();
    scene.ok(&["install", "--role=view"]);
    scene.ok(&["upgrade"]);
    assert!(scene.is_there("namespaces/team/rolebindings/reposure-operator-view"));
    scene.ok(&["install", "--cluster", "--role=view"]);
    assert!(!scene.is_there("namespaces/team/rolebindings/reposure-operator-view"));
    let upgraded = scene.ok(&["upgrade"]);
    assert!(deleted(&upgraded).is_empty(), "{upgraded}");
}

#[test]
fn one_for_a_namespace_is_not_removed_as_one_for_all() {
    let scene = Scene::new();
    scene.ok(&["install"]);
    for all in [&["uninstall", "--cluster"][..], &["uninstall", "--cluster", "--all"]] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(scene.run(all), @"
            [7]
            error: the reposure-operator here does not see to all namespaces
              try: leave out --cluster to remove it
            ");
        }
    }
    scene.ok(&["uninstall"]);
    scene.api_server.forget();
    insta::assert_snapshot!(scene.run(&["uninstall", "--cluster", "--all"]), @"
    [3]
    error: no operator in namespace team sees to all namespaces
      try: --namespace with the one that it is in, or leave out --cluster
    ");
    assert!(scene.api_server.seen().iter().all(|seen| seen.method == http::Method::GET));
}

#[test]
fn manifests_are_printed_without_a_wait() {
    let environment = TestEnvironment::alone();
    let printed = environment.run(&["operator", "manifests", "--cluster", "-n", "team"]);
    assert!(printed.code == 0 && printed.text().contains("kind: ClusterRoleBinding"), "{printed}");
    assert_eq!(environment.run(&["operator", "manifests", "--wait"]).code, 2);
    let help = environment.ok(&["operator", "--help"]);
    assert!(help.contains("manifests  Print what"), "{help}");
}
