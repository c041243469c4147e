//! `reposure registry info`: facts of a registry, for scripts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reposure_testing::FakeApiServer;
use serde_json::{Map, Value, json};

use crate::{TestEnvironment, environment::Output};

struct Scene {
    environment: TestEnvironment,
    api_server: FakeApiServer,
}

impl Scene {
    fn new(spec: &Value, status: &Value) -> Self {
        let (environment, api_server) = TestEnvironment::with_api_server();
        let mut whole = json!({"type": "oci", "direct": {"host": "registry.example.com"}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        api_server.put_object(
            "/apis/reposure.puccini.cloud/v1alpha1/namespaces/team/registries/default",
            json!({"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
                "metadata": {"name": "default", "namespace": "team"}, "spec": whole, "status": status}),
        );
        Self { environment, api_server }
    }

    fn put(&self, kind: &str, name: &str, data: &Value) {
        let path = format!("/api/v1/namespaces/team/{kind}/{name}");
        self.api_server.put_object(&path, json!({"metadata": {"name": name}, "data": data}));
    }

    fn put_secret(&self, name: &str, data: &[(&str, &str)]) {
        let encoded = data.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into()));
        self.put("secrets", name, &Value::Object(encoded.collect::<Map<_, _>>()));
    }

    fn info(&self, fact: &str) -> Output {
        self.environment.run(&["registry", "info", "default", fact, "-k", "config"])
    }

    /// Prints each fact, or why there is none.
    fn all(&self) -> String {
        let facts = ["host", "username", "password", "token", "cert"];
        facts.map(|fact| format!("{fact}: {}", self.info(fact))).concat()
    }
}

#[test]
fn a_registry_of_which_nothing_is_known_has_no_facts() {
    insta::assert_snapshot!(Scene::new(&json!({}), &json!({})).all(), @r"
    host: [3]
    error: registry default has no host
      try: wait until it is ready: reposure registry describe
    username: [3]
    error: registry default has no username
    password: [3]
    error: registry default has no password
    token: [3]
    error: registry default has no token
    cert: [3]
    error: registry default has no cert
    ");
}

#[test]
fn facts_are_printed_as_they_are() {
    let spec = json!({"authorizationSecret": "login", "authenticationSecret": "ca"});
    let scene = Scene::new(&spec, &json!({"host": "10.96.0.9:5000"}));
    scene.put_secret("login", &[("username", "ann"), ("password", "hush hush")]);
    scene.put_secret("ca", &[("tls.crt", "PEM\n")]);
    insta::assert_snapshot!(scene.all(), @r"
    host: 10.96.0.9:5000
    [0]
    username: ann
    [0]
    password: hush hush
    [0]
    token: [3]
    error: registry default has no token
    cert: PEM
    [0]
    ");
    let json = scene.environment.run(&["registry", "info", "default", "host", "-k=config", "-o=json"]);
    let data: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(data, json!({"host": "10.96.0.9:5000"}));
}

#[test]
fn a_token_of_a_secret_is_no_password() {
    let scene = Scene::new(&json!({"authorizationSecret": "login"}), &json!({}));
    scene.put_secret("login", &[("token", "opaque")]);
    assert_eq!(scene.info("token").text(), "opaque\n");
    assert_eq!(scene.info("password").code, 3);
    // An identity token of docker's goes as one too.
    let auths = json!({"auths": {"registry.example.com": {"auth": "", "identitytoken": "refresh"}}});
    scene.put_secret("login", &[(".dockerconfigjson", &auths.to_string())]);
    assert_eq!(scene.info("token").text(), "refresh\n");
    assert_eq!(scene.info("username").code, 3);
}

/// As OpenShift's registry takes it: the user may have any name.
#[test]
fn the_surrogates_own_token_is_asked_for() {
    let spec =
        json!({"authorizationServiceAccount": true, "authenticationConfigMap": "openshift-service-ca.crt"});
    let scene = Scene::new(&spec, &json!({"host": "image-registry.openshift-image-registry.svc:5000"}));
    scene.put(
        "configmaps",
        "openshift-service-ca.crt",
        &json!({"service-ca.crt": "PEM of the service authority"}),
    );
    insta::assert_snapshot!(scene.all(), @r"
    host: image-registry.openshift-image-registry.svc:5000
    [0]
    username: reposure-surrogate-default
    [0]
    password: token-of-reposure-surrogate-default
    [0]
    token: token-of-reposure-surrogate-default
    [0]
    cert: PEM of the service authority
    [0]
    ");
    let asked = scene.api_server.seen().into_iter().filter(|seen| seen.method == "POST");
    let asked: Vec<_> = asked.map(|seen| seen.path).collect();
    let account = "/api/v1/namespaces/team/serviceaccounts/reposure-surrogate-default/token";
    assert!(asked.len() == 2 && asked.iter().all(|path| path.starts_with(account)), "{asked:?}");
}

#[test]
fn what_is_named_and_not_there_is_said() {
    let scene =
        Scene::new(&json!({"authorizationSecret": "login", "authenticationConfigMap": "ca"}), &json!({}));
    insta::assert_snapshot!(scene.info("password"), @r"
    [3]
    error: cannot read what the registry names
      because: cannot get Secret team/login: it does not exist: the server could not find the requested resource
    ");
    insta::assert_snapshot!(scene.info("cert"), @r"
    [3]
    error: cannot read what the registry names
      because: cannot get ConfigMap team/ca: it does not exist: the server could not find the requested resource
    ");
}
