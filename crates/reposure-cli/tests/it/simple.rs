//! `reposure simple`: what an installation takes away of an earlier one.

use reposure_testing::FakeApiServer;
use serde_json::{Value, json};

use crate::TestEnvironment;

const POLICY: &str = "/apis/networking.k8s.io/v1/namespaces/team/networkpolicies/reposure-simple";
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
    format!("{CERT_MANAGER}/namespaces/team/{name}")
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

#[test]
fn what_was_secured_or_kept_elsewhere_stays_so_unless_it_is_said() {
    let scene = Scene::new();
    let volumes = || {
        let deployment = scene.api_server.object("/apis/apps/v1/namespaces/team/deployments/reposure-simple");
        let volumes = deployment.unwrap()["spec"]["template"]["spec"]["volumes"].clone();
        let names =
            volumes.as_array().unwrap().iter().map(|volume| volume["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    scene.install(&["--authentication", "--authorization"]);
    assert_eq!(volumes(), ["data", "config", "tls", "htpasswd"]);
    let again = scene.environment.run(&["simple", "install", "--ephemeral", "-k", "config"]);
    assert_eq!(again.code, 0, "{again}");
    assert!(again.stderr.contains("goes on to serve TLS; --authentication=false ends that"), "{again}");
    assert_eq!(volumes(), ["data", "config", "tls", "htpasswd"]);
    scene.install(&["--authentication=false"]);
    assert_eq!(volumes(), ["data", "config", "htpasswd"]);
    scene.install(&["--authorization=false"]);
    assert_eq!(volumes(), ["data", "config"]);
    insta::assert_snapshot!(scene.environment.run(&["simple", "install", "-k", "config"]), @r"
    [7]
    error: the simple registry keeps its images in its pod, and a volume would have none of them
      try: --ephemeral, as before, or --size for a volume
    ");
    let moved = scene.environment.run(&["simple", "install", "--size=1Gi", "-k", "config"]);
    assert_eq!(moved.code, 0, "{moved}");
    let again = scene.environment.run(&["simple", "install", "-k", "config"]);
    assert_eq!(again.code, 0, "a volume is what is meant: {again}");
}

const CORE: &str = "/api/v1/namespaces/team";

/// What is kept of an earlier version is what signs uploads that are under way.
#[test]
fn an_earlier_version_is_followed_in_place() {
    let scene = Scene::new();
    let (secret, config_map) =
        (format!("{CORE}/secrets/reposure-simple"), format!("{CORE}/configmaps/reposure-simple"));
    let metadata =
        json!({"name": "reposure-simple", "labels": {"app.kubernetes.io/managed-by": "reposure-cli"}});
    let key = "c2lnbmluZy1rZXk=";
    scene.api_server.put_object(&secret, json!({"metadata": metadata, "data": {"http-secret": key}}));
    scene
        .api_server
        .put_object(&config_map, json!({"metadata": metadata, "data": {"config.yml": "version: 0.1"}}));
    assert_eq!(scene.install(&[]), ["configmap/reposure-simple"]);
    assert!(!scene.is_there(&config_map));
    let kept = scene.api_server.object(&secret).unwrap()["data"].clone();
    assert_eq!(kept["http-secret"], key);
    assert!(kept["config.yml"].is_string());
    assert!(scene.install(&[]).is_empty(), "there is nothing more of it");
    assert_eq!(scene.api_server.object(&secret).unwrap()["data"], kept, "nothing is drawn anew");
    // One that somebody else has made is his.
    scene.api_server.put_object(&config_map, json!({"metadata": {"name": "reposure-simple"}}));
    assert!(scene.install(&[]).is_empty() && scene.is_there(&config_map));
}

#[test]
fn the_keys_of_an_object_store_are_read_before_anything_is_made() {
    let scene = Scene::new();
    let bucket = ["simple", "install", "-k", "config", "--storage=s3://b", "--storage-secret=keys"];
    let install = || scene.environment.run(&bucket);
    let secret = format!("{CORE}/secrets/keys");
    let none = install();
    assert!(none.code == 3 && none.stderr.contains("keys"), "{none}");
    scene
        .api_server
        .put_object(&secret, json!({"metadata": {"name": "keys"}, "data": {"access-key": "YQ=="}}));
    let half = install();
    assert!(half.code == 1 && half.stderr.contains("its key secret-key is missing"), "{half}");
    assert!(!scene.is_there(&format!("{CORE}/secrets/reposure-simple")));
    scene.api_server.put_object(
        &secret,
        json!({"metadata": {"name": "keys"}, "data": {"access-key": "YQ==", "secret-key": "Yg=="}}),
    );
    let installed = install();
    assert_eq!(installed.code, 0, "{installed}");
    let deployment = "/apis/apps/v1/namespaces/team/deployments/reposure-simple";
    let deployment = scene.api_server.object(deployment).unwrap().to_string();
    assert!(!deployment.contains("secretKeyRef"), "{deployment}");
}
