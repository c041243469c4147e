//! The channel `direct`: a registry that is reached from here, and an API server that says where it is.

use std::net::TcpListener;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reposure_testing::{
    Auth, FakeApiServer, MemoryRegistry, Options, Users,
    api_server::{Failure, How},
};
use serde_json::{Value, json};

use crate::{TestEnvironment, environment::Output};

const REGISTRY: &str = "/apis/reposure.puccini.cloud/v1alpha1/namespaces/team/registries/default";
/// What would keep it, if no operator saw to it.
const STANDALONE: &str = "/api/v1/namespaces/team/configmaps/reposure-surrogate-default";
const SECRET: &str = "/api/v1/namespaces/team/secrets/";

/// A registry, and an API server that knows of it.
struct Scene {
    environment: TestEnvironment,
    api_server: FakeApiServer,
    registry: MemoryRegistry,
}

impl Scene {
    fn new(options: Options, more: &Value) -> Self {
        let environment = TestEnvironment::alone();
        let (api_server, registry) = (environment.api_server(), environment.other_registry(options));
        let mut spec = json!({"type": "oci", "direct": {"host": registry.host()}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api_server.put_object(REGISTRY, object(&spec, &json!({})));
        environment.write("file", "content");
        Self { environment, api_server, registry }
    }

    fn put_secret(&self, name: &str, data: &[(&str, &str)]) {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into()));
        let data: serde_json::Map<_, Value> = data.collect();
        self.api_server
            .put_object(&format!("{SECRET}{name}"), json!({"metadata": {"name": name}, "data": data}));
    }

    fn run(&self, args: &[&str]) -> Output {
        let args = [args, &["--channel=direct", "-k", "config"]].concat();
        let output = self.environment.run(&args);
        Output { stderr: output.stderr.replace(&self.registry.host(), "$HOST"), ..output }
    }

    fn push(&self, args: &[&str]) -> Output {
        self.run(&[&["image", "push", "default", "team/app:v1", "file", "-v"], args].concat())
    }
}

fn object(spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
        "metadata": {"name": "default", "namespace": "team"}, "spec": spec, "status": status,
    })
}

fn assert_says(output: &Output, code: i32, parts: &[&str]) {
    assert_eq!(output.code, code, "{output}");
    for part in parts {
        assert!(output.stderr.contains(part), "{part:?} is not said: {output}");
    }
}

#[test]
fn every_verb_goes_and_nothing_is_asked_but_where_the_registry_is() {
    let scene = Scene::new(Options::default(), &json!({}));
    let ok = |args: &[&str]| {
        let output = scene.run(args);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{args:?}");
        output.text()
    };
    let digest = ok(&["image", "push", "default", "team/app:v1", "file"]);
    ok(&["image", "push", "default", "team/app:v2", "file"]);
    assert_eq!(ok(&["image", "list", "default"]), "team/app:v1\nteam/app:v2\n");
    assert_eq!(ok(&["image", "pull", "default", "team/app:v1", "--unpack"]), "content");
    ok(&["image", "pull", "default", "team/app:v1", "pulled.tar"]);
    ok(&["image", "push", "default", "again", "pulled.tar"]);
    assert!(ok(&["image", "verify", "default", "team/app:v1", "--diff-ids"]).contains(digest.trim()));
    ok(&["image", "referrers", "default", "team/app:v1"]);
    ok(&["image", "delete", "default", "team/app:v1"]);
    assert_eq!(scene.registry.tags("team/app"), ["v2"]);
    let seen = scene.api_server.seen();
    let where_it_is = |path: &str| [REGISTRY, STANDALONE].contains(&path);
    assert!(seen.iter().all(|seen| seen.method == "GET" && where_it_is(&seen.path)), "{seen:?}");
    assert_says(&scene.push(&[]), 0, &["channel direct, to $HOST", "no credentials for $HOST"]);
}

#[test]
fn the_variable_chooses_it_too() {
    let scene = Scene::new(Options::default(), &json!({}));
    let mut command = scene.environment.command(env!("CARGO_BIN_EXE_reposure"));
    command
        .args(["image", "push", "default", "app", "file", "-k", "config"])
        .env("REPOSURE_CHANNEL", "direct");
    let output = scene.environment.finish(&mut command, b"");
    assert_eq!(output.code, 0, "{output}");
}

#[test]
fn credentials_are_the_users_own_or_else_those_of_the_secret() {
    let auth = Auth::bearer(Users::new("ann", "hush"));
    let scene = Scene::new(Options { auth, ..Options::default() }, &json!({"authorizationSecret": "login"}));
    let refused = scene.push(&[]);
    assert_says(&refused, 4, &["there is no Secret login", "no credentials for $HOST", "try: docker login"]);
    scene.put_secret("login", &[("username", "ann"), ("password", "hush")]);
    assert_says(&scene.push(&[]), 0, &["credentials for $HOST are those of Secret login"]);
    scene.api_server.fail(Failure::next("/secrets/login", How::Status(403)));
    assert_says(&scene.push(&[]), 4, &["you may not read Secret login", "try: docker login"]);

    let auths = json!({"auths": {scene.registry.host(): {"auth": "YW5uOmh1c2g="}}}).to_string();
    scene.environment.write("../home/.docker/config.json", auths);
    scene.put_secret("login", &[("username", "ann"), ("password", "old")]);
    let own = scene.push(&[]);
    assert_says(&own, 0, &["credentials for $HOST are those of your docker or podman configuration"]);
    assert!(!own.stderr.contains("Secret") && !own.stderr.contains("hush"), "{own}");
}

#[test]
fn own_credentials_are_not_sent_over_the_open_network_in_the_clear() {
    let environment = TestEnvironment::alone();
    let api_server = environment.api_server();
    let spec = json!({"type": "oci", "direct": {"host": "registry.invalid"}, "scheme": "http"});
    api_server.put_object(REGISTRY, object(&spec, &json!({})));
    let output = environment.run(&["image", "list", "default", "--channel=direct", "-k", "config"]);
    let expected = "warning: your own credentials for registry.invalid are not sent by plain HTTP";
    assert_says(&output, 5, &[expected, "registry.invalid: the name cannot be resolved"]);
}

/// Whoever may write a `Registry` is not to get the credentials of those who use it.
#[test]
fn own_credentials_are_not_sent_to_a_realm_that_is_not_the_registrys() {
    let options = || Options { auth: Auth::bearer(Users::new("ann", "hush")), ..Options::default() };
    let scene = Scene::new(options(), &json!({}));
    let other = scene.environment.other_registry(options());
    let realm = |host: &str| {
        let spec = json!({"type": "oci", "direct": {"host": scene.registry.host()}, "realm": format!("http://{host}/token")});
        scene.api_server.put_object(REGISTRY, object(&spec, &json!({})));
    };
    let auths = json!({"auths": {scene.registry.host(): {"auth": "YW5uOmh1c2g="}}}).to_string();
    scene.environment.write("../home/.docker/config.json", auths);
    realm(&other.host());
    let warned =
        format!("your own credentials for $HOST are not sent to http://{}, where the registry", other.host());
    assert_says(&scene.push(&[]), 4, &[&warned]);
    let shown =
        |entry: &reposure_testing::Entry| entry.headers.iter().any(|(name, _)| name == "authorization");
    assert!(!other.requests().iter().any(shown), "{:?}", other.requests());
    realm(&scene.registry.host());
    assert_says(&scene.push(&[]), 0, &[]);
}

#[test]
fn a_password_is_that_of_the_registry_and_of_no_other() {
    let scene = Scene::new(Options::default(), &json!({"authorizationSecret": "login"}));
    let password = |auths: &Value| {
        scene.put_secret("login", &[(".dockerconfigjson", &json!({ "auths": auths }).to_string())]);
        scene.run(&["registry", "info", "default", "password"])
    };
    let (hush, old) = (json!({"auth": "YW5uOmh1c2g="}), json!({"auth": "YW5uOm9sZA=="}));
    let known = password(&json!({"0.example": old, scene.registry.host(): hush}));
    assert_eq!((known.code, known.text().as_str()), (0, "hush\n"), "{known}");
    assert_eq!(password(&json!({"0.example": hush})).text(), "hush\n", "the only one");
    assert_eq!(password(&json!({"0.example": old, "1.example": old})).code, 3);
}

#[test]
fn the_right_to_a_token_is_named() {
    let scene = Scene::new(Options::default(), &json!({"authorizationServiceAccount": true}));
    scene.api_server.fail(Failure::next("/token", How::Status(403)));
    let denied = scene.run(&["registry", "info", "default", "token"]);
    assert_says(&denied, 4, &["a Role in namespace team must allow create on serviceaccounts/token"]);
}

#[test]
fn tls_is_checked_against_what_is_named() {
    let scene = Scene::new(
        Options { tls: true, ..Options::default() },
        &json!({"scheme": "https", "authenticationSecret": "ca"}),
    );
    let pem = scene.registry.authority().unwrap().to_owned();
    let untrusted = scene.push(&[]);
    let parts = ["there is no Secret ca", "$HOST: the certificate is not trusted", "try: --registry-ca FILE"];
    assert_says(&untrusted, 5, &parts);
    scene.environment.write("ca.pem", &pem);
    assert_says(&scene.push(&["--registry-ca", "ca.pem"]), 0, &["trusting ca.pem"]);
    let other = scene.environment.other_registry(Options { tls: true, ..Options::default() });
    scene.environment.write("other.pem", other.authority().unwrap());
    assert_says(&scene.push(&["--registry-ca", "other.pem"]), 5, &["$HOST: the certificate is not trusted"]);
    scene.put_secret("ca", &[("tls.crt", &pem)]);
    assert_says(&scene.push(&[]), 0, &["trusting tls.crt of Secret ca"]);
    scene.environment.write("no.pem", "no certificate");
    assert_says(&scene.push(&["--registry-ca", "no.pem"]), 1, &["cannot use the registry's authority"]);
    assert_says(&scene.push(&["--registry-ca", "none.pem"]), 3, &["cannot read none.pem"]);
}

#[test]
fn a_registry_that_asks_for_a_certificate_is_shown_that_of_the_secret() {
    let options = Options { tls: true, client_certificate: true, ..Options::default() };
    let spec = json!({"scheme": "https", "authenticationSecret": "ca", "authorizationSecret": "own"});
    let scene = Scene::new(options, &spec);
    scene.put_secret("ca", &[("tls.crt", scene.registry.authority().unwrap())]);
    assert_says(&scene.push(&[]), 5, &["there is no Secret own", "cannot reach registry default"]);
    let [certificate, key] = scene.registry.client_certificate().unwrap().clone();
    scene.put_secret("own", &[("tls.crt", certificate.as_str()), ("tls.key", key.as_str())]);
    assert_says(&scene.push(&[]), 0, &["the registry is shown the certificate of Secret own"]);
    scene.put_secret("own", &[("tls.crt", certificate.as_str()), ("tls.key", "no key")]);
    assert_says(&scene.push(&[]), 1, &["cannot use tls.crt and tls.key of Secret own"]);
}

#[test]
fn an_authority_that_would_say_nothing_is_refused() {
    let scene = Scene::new(Options::default(), &json!({}));
    assert_says(&scene.push(&["--registry-ca", "ca.pem"]), 2, &["is dialled by plain HTTP"]);
    let args = ["image", "list", "default", "-k", "config", "--registry-ca", "ca.pem"];
    assert_says(&scene.environment.run(&args), 2, &["--registry-ca is for --channel direct"]);
}

#[test]
fn a_registry_that_is_not_reached_is_named_with_another_channel() {
    let environment = TestEnvironment::alone();
    let api_server = environment.api_server();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let spec = json!({"type": "oci", "direct": {"host": closed}});
    api_server.put_object(REGISTRY, object(&spec, &json!({})));
    let run = |args: &[&str]| {
        let output = environment.run(&[args, &["--channel=direct", "-k", "config"]].concat());
        let replace = |text: &str| text.replace(&closed, "$HOST");
        Output { stderr: replace(&output.stderr), stdout: replace(&output.text()).into(), ..output }
    };
    insta::assert_snapshot!(run(&["image", "list", "default"]), @r"
    [5]
    error: cannot reach registry default in namespace team without a surrogate
      because: cannot ask for the registry's API, tried 2 times
      because: there was no answer
      because: GET /v2/ failed at the registry
      because: $HOST: the connection is refused
      because: client error (Connect)
      because: tcp connect error
      because: Connection refused (os error 111)
      try: another channel, where the registry cannot be reached from here: --channel auto
    ");
    let looked = run(&["doctor"]);
    assert_eq!(looked.code, 5, "{looked}");
    assert!(looked.text().contains("failed   channel direct "), "{looked}");
    assert!(looked.text().contains("$HOST: the connection is refused"), "{looked}");
}

#[test]
fn a_service_whose_name_nobody_knows_is_reached_at_its_published_address() {
    let scene = Scene::new(Options::default(), &json!({}));
    let spec = json!({"type": "oci", "indirect": {"service": "nowhere", "port": 5000}});
    scene.api_server.put_object(REGISTRY, object(&spec, &json!({"host": scene.registry.host()})));
    let parts = [
        "nowhere.team.svc:5000 is not known here; $HOST is its published address",
        "channel direct, to $HOST",
    ];
    assert_says(&scene.push(&[]), 0, &parts);
}

#[test]
fn a_registry_that_may_not_be_read_or_is_not_there() {
    let scene = Scene::new(Options::default(), &json!({}));
    scene.api_server.fail(Failure::next("/registries/default", How::Status(403)));
    assert_says(
        &scene.push(&[]),
        4,
        &[
            "which says where it is",
            "try: ask for the right to, with your name for USER: kubectl create role reposure-registry ",
            " && kubectl create rolebinding reposure-registry ",
        ],
    );
    let missing = scene.run(&["image", "list", "other"]);
    assert_eq!(missing.code, 3, "{missing}");
}

#[test]
fn doctor_looks_at_the_registry_alone() {
    let auth = Auth::Basic(Users::new("ann", "hush"));
    let scene = Scene::new(Options { auth, ..Options::default() }, &json!({"authorizationSecret": "login"}));
    let states = |output: &Output| {
        let checks: Vec<Value> = serde_json::from_str(&output.text()).unwrap();
        let state = |check: &Value| {
            format!("{} {}", check["state"].as_str().unwrap(), check["name"].as_str().unwrap())
        };
        // What comes before is about the cluster.
        let states = checks.iter().map(state);
        states.skip_while(|state| !state.ends_with("registry default")).collect::<Vec<_>>()
    };
    let refused = scene.run(&["doctor", "-o", "json"]);
    assert_eq!(refused.code, 4, "{refused}");
    let expected = ["warning registry default", "ok channel direct", "failed the registry itself"];
    assert_eq!(states(&refused), expected, "{refused}");
    scene.put_secret("login", &[("username", "ann"), ("password", "hush")]);
    let well = scene.run(&["doctor", "-o", "json"]);
    assert_eq!(well.code, 0, "{well}");
    assert_eq!(states(&well)[1..], ["ok channel direct", "ok the registry itself"], "{well}");
}

#[test]
fn doctor_says_that_a_registry_could_be_reached_without_a_surrogate() {
    let scene = Scene::new(Options::default(), &json!({"authorizationSecret": "login"}));
    let output = scene.environment.run(&["doctor", "-k", "config"]);
    let text = output.text().replace(&scene.registry.host(), "$HOST");
    assert_eq!(output.code, 5, "the other channels lead nowhere: {output}");
    assert!(text.contains("\nok       channel direct          $HOST answers here too, after "), "{text}");
    let seen = scene.api_server.seen();
    assert!(!seen.iter().any(|seen| seen.path.contains("/secrets/")), "nobody's credentials are needed");
}
