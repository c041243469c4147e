//! `reposure simple`: what an installation takes away of an earlier one.

use reposure_testing::FakeApiServer;
use serde_json::{Value, json};

use crate::TestEnvironment;

const POLICY: &str = "/apis/networking.k8s.io/v1/namespaces/work/networkpolicies/reposure-simple";
const CERT_MANAGER: &str = "/apis/cert-manager.io/v1";

struct Scene {
    environment: TestEnvironment,
    api_server: FakeApiServer,
}

impl Scene {
    fn new() -> Self {
        let (environment, api_server) = TestEnvironment::with_api_server();
        Self { environment, api_server }
    }

    /// Has cert-manager, which has nothing to do any more.
    fn with_cert_manager() -> Self {
        let scene = Self::new();
        let resource = |kind: &str, name: &str| json!({"kind": kind, "name": name, "singularName": "", "namespaced": true, "verbs": []});
        let resources = [resource("Certificate", "certificates"), resource("Issuer", "issuers")];
        scene.api_server.put_object(
            CERT_MANAGER,
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "cert-manager.io/v1", "resources": resources}),
        );
        let status = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        scene.api_server.put_object(
            &object("certificates/reposure-simple"),
            json!({"metadata": {"name": "reposure-simple"}, "status": status}),
        );
        scene
    }

    /// Installs the registry, and returns what was deleted.
    fn install(&self, args: &[&str]) -> Vec<String> {
        let output =
            self.environment.run(&[&["simple", "install", "--ephemeral", "-k", "config"], args].concat());
        assert_eq!(output.code, 0, "{output}");
        output.text().lines().filter_map(|line| line.strip_suffix(" deleted")).map(Into::into).collect()
    }

    fn is_there(&self, path: &str) -> bool {
        self.api_server.object(path).is_some()
    }
}

fn object(name: &str) -> String {
    format!("{CERT_MANAGER}/namespaces/work/{name}")
}

#[test]
fn without_the_option_a_policy_of_an_earlier_installation_goes() {
    let scene = Scene::new();
    assert!(scene.install(&["--network-policy"]).is_empty() && scene.is_there(POLICY));
    assert!(scene.install(&["--network-policy"]).is_empty() && scene.is_there(POLICY));
    assert_eq!(scene.install(&[]), ["networkpolicy/reposure-simple"]);
    assert!(!scene.is_there(POLICY) && scene.install(&[]).is_empty());
}

#[test]
fn a_policy_of_somebody_elses_stays() {
    let scene = Scene::new();
    for labels in [Value::Null, json!({"app.kubernetes.io/managed-by": "Helm"})] {
        scene
            .api_server
            .put_object(POLICY, json!({"metadata": {"name": "reposure-simple", "labels": labels}}));
        assert!(scene.install(&[]).is_empty() && scene.is_there(POLICY));
        let uninstall = scene.environment.run(&["simple", "uninstall", "-k", "config"]);
        assert!(uninstall.code == 0 && scene.is_there(POLICY), "{uninstall}");
    }
}

#[test]
fn another_issuer_takes_the_place_of_the_authority_that_was_made() {
    let scene = Scene::with_cert_manager();
    let own = ["issuers/reposure-simple", "certificates/reposure-simple-ca", "issuers/reposure-simple-ca"];
    let are_there = || own.map(|name| scene.is_there(&object(name)));
    assert!(scene.install(&["--authentication"]).is_empty());
    assert_eq!(are_there(), [true; 3]);
    // Whoever names the authority that was made wants to keep it.
    assert!(scene.install(&["--authentication", "--issuer=reposure-simple-ca"]).is_empty());
    assert_eq!(are_there(), [true; 3]);
    let deleted = scene.install(&["--authentication", "--issuer=ClusterIssuer/team"]);
    assert_eq!(
        deleted,
        ["issuer/reposure-simple", "certificate/reposure-simple-ca", "issuer/reposure-simple-ca"]
    );
    assert_eq!(are_there(), [false; 3]);
    let certificate = scene.api_server.object(&object("certificates/reposure-simple")).unwrap();
    assert_eq!(certificate["spec"]["issuerRef"]["name"], "team");
    // One that only has the name is somebody else's.
    scene.api_server.put_object(&object(own[0]), json!({"metadata": {"name": "reposure-simple"}}));
    assert!(scene.install(&["--authentication", "--issuer=team"]).is_empty());
    assert!(scene.is_there(&object(own[0])));
}
