//! `reposure doctor`, beside a surrogate on this machine, and before API servers that are not there.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use reposure_testing::{
    Fault, Injection,
    relay::{Link, Relay},
};
use serde_json::{Value, json};

use crate::{TestEnvironment, ladder};

#[test]
fn a_surrogate_and_its_registry_are_looked_at() {
    let environment = TestEnvironment::new();
    let checks = environment.ok(&["doctor", "-o", "json"]);
    let checks: Vec<Value> = serde_json::from_str(&checks).unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["client", "channel local", "surrogate", "the registry itself", "storage"]);
    assert!(checks.iter().all(|check| check["state"] == "ok"), "{checks:?}");
    for figure in ["firstAnswerMs", "roundTripMs", "upMibPerSecond", "downMibPerSecond"] {
        assert!(checks[1][figure].as_f64().is_some_and(|figure| figure > 0.0), "{figure}: {}", checks[1]);
    }
    for who in [0, 2] {
        assert_eq!(checks[who]["version"], env!("CARGO_PKG_VERSION"), "{}", checks[who]);
    }
    assert!(checks[3].as_object().unwrap().keys().eq(["name", "state", "detail"]), "{}", checks[3]);
    let yaml = environment.ok(&["doctor", "-o", "yaml"]);
    assert!(yaml.contains("\n  roundTripMs: ") && yaml.contains("\n  version: "), "{yaml}");
    let text = environment.ok(&["doctor"]);
    let first = text.lines().nth(1).unwrap();
    assert!(first.starts_with("ok       channel local           hello after "), "{text}");
    assert!(first.contains(", up ") && first.contains(", down ") && first.ends_with("MiB/s"), "{text}");
}

#[test]
fn the_first_hop_that_fails_gives_the_exit_code() {
    let environment = TestEnvironment::alone();
    let output = environment.run(&["doctor", "--surrogate", "127.0.0.1:1"]);
    assert_eq!(output.code, 5, "{output}");
    assert!(
        output.text().contains("\nfailed   channel local           cannot reach the surrogate"),
        "{output}"
    );
    assert_eq!(output.stderr, "error: 1 of 2 checks failed, first: channel local\n");
}

#[test]
fn a_registry_that_is_away_is_named() {
    let mut environment = TestEnvironment::new();
    environment.stop_registry();
    // The surrogate asks for it from time to time.
    let looks = (0..60).map(|_| {
        std::thread::sleep(Duration::from_millis(500));
        environment.run(&["doctor"])
    });
    let output = { looks }.find(|output| output.text().contains("failed   the registry itself ")).unwrap();
    assert_eq!(output.code, 5, "{output}");
    let text = output.text();
    assert!(text.contains("try: reposure registry describe default\n"), "{text}");
    assert_eq!(output.stderr, "error: 1 of 4 checks failed, first: the registry itself\n");
}

#[test]
fn what_is_no_kubeconfig_is_the_first_hop() {
    let environment = TestEnvironment::alone();
    environment.write("config", "apiVersion: v1\nkind: Config\n");
    let output = environment.run(&["doctor", "--kubeconfig", "config"]);
    assert_eq!(output.code, 2, "{output}");
    assert!(output.text().contains("\nfailed   kubeconfig "), "{output}");
}

#[test]
fn a_registry_that_can_store_nothing_is_named() {
    let environment = TestEnvironment::new();
    environment.registry().put_manifest("some/app", Some("v1"), "application/json", "{}");
    for (method, fault, detail, hint) in [
        (Method::PATCH, Fault::status(507), "507 Insufficient Storage", "disk is full"),
        (Method::POST, Fault::code(405, "UNSUPPORTED"), "405 Method Not Allowed", "read-only"),
        (Method::POST, Fault::code(403, "DENIED"), "403 Forbidden: DENIED", "spec.authorizationSecret"),
    ] {
        environment.registry().inject(Injection::next(method, "some/app/blobs/uploads/", fault));
        let output = environment.run(&["doctor"]);
        assert_ne!(output.code, 0, "{output}");
        let text = output.text();
        let (_, storage) =
            text.split_once("\nfailed   storage                 cannot store a blob in some/app: ").unwrap();
        assert!(storage.contains(detail) && storage.contains(hint), "{text}");
        assert_eq!(output.stderr, "error: 1 of 5 checks failed, first: storage\n");
    }
    let text = environment.ok(&["doctor"]);
    assert!(text.ends_with("ok       storage                 takes blobs, tried in some/app\n"), "{text}");
    assert_eq!(environment.registry().open_uploads(), 0);
}

#[test]
fn a_repository_that_is_not_there_may_be_refused() {
    let environment = TestEnvironment::new();
    let fault = Fault::code(404, "NAME_UNKNOWN");
    environment.registry().inject(Injection::next(
        Method::POST,
        "test/reposure-doctor/blobs/uploads/",
        fault,
    ));
    let text = environment.ok(&["doctor"]);
    assert!(
        text.contains("\nwarning  storage                 cannot store a blob in test/reposure-doctor"),
        "{text}"
    );
}

/// Writes a kubeconfig whose user has `credentials`, for an API server that is not there.
fn write_kubeconfig(environment: &TestEnvironment, credentials: &Value) {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": credentials}],
    });
    environment.write("config", kubeconfig.to_string());
}

fn token(end: i64) -> String {
    format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(json!({"exp": end}).to_string()))
}

#[test]
fn credentials_say_until_when_they_are_good() {
    let environment = TestEnvironment::alone();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    for (end, line) in [
        (now - 7300, "failed   credentials             the kubeconfig's token has expired at "),
        (now + 500, "warning  credentials             the kubeconfig's token is good until "),
        (now + 7300, "ok       credentials             the kubeconfig's token is good until "),
    ] {
        write_kubeconfig(&environment, &json!({"token": token(end)}));
        let output = environment.run(&["doctor", "--kubeconfig", "config"]);
        let text = output.text();
        assert!(text.contains(line) && !text.contains("e30."), "{text}");
        // It comes before the API server, which refuses what has expired.
        assert_eq!(output.code, if end < now { 4 } else { 5 }, "{output}");
        let structured = environment.run(&["doctor", "--kubeconfig", "config", "-o", "json"]).text();
        let checks: Vec<Value> = serde_json::from_str(&structured).unwrap();
        let credentials = checks.iter().find(|check| check["name"] == "credentials").unwrap();
        assert_eq!(credentials["state"], line.split(' ').next().unwrap());
        let expires: jiff::Timestamp = credentials["expires"].as_str().unwrap().parse().unwrap();
        assert_eq!(expires.as_second(), end, "{credentials}");
    }
    write_kubeconfig(&environment, &json!({"token": "opaque"}));
    let text = environment.run(&["doctor", "--kubeconfig", "config"]).text();
    assert!(text.contains("the kubeconfig's token, which does not say until when"), "{text}");
    let structured = environment.run(&["doctor", "--kubeconfig", "config", "-o", "json"]).text();
    assert!(!structured.contains("expires"), "{structured}");
}

#[test]
fn a_credential_plugin_says_until_when_its_credentials_are_good() {
    let environment = TestEnvironment::alone();
    let given = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": "hunter2", "expirationTimestamp": "2020-01-01T00:00:00Z"},
    });
    environment.write("plugin", format!("#!/bin/sh\necho '{given}'\n"));
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "/bin/sh", "args": [environment.path("plugin")],
    });
    write_kubeconfig(&environment, &json!({"exec": exec}));
    let output = environment.run(&["doctor", "--kubeconfig", "config"]);
    let line = "failed   credentials             what /bin/sh gives has expired at 2020-01-01T00:00:00Z, ";
    assert!(output.text().contains(line) && !output.to_string().contains("hunter2"), "{output}");
}

#[test]
fn one_run_moves_16_mib_at_most() {
    let environment = TestEnvironment::new();
    let api_server = ladder::api_server(&environment);
    environment.write_kubeconfig(&api_server);
    let relay = Relay::start(api_server.address(), Link::default()).unwrap();
    let kubeconfig = fs::read_to_string(environment.path("config")).unwrap();
    let addresses = (api_server.address().to_string(), relay.address().to_string());
    environment.write("config", kubeconfig.replace(&addresses.0, &addresses.1));
    let mut doctor = environment.reposure();
    doctor.env_remove("REPOSURE_SURROGATE").args(["doctor", "-n", "test", "-k", "config"]);
    let output = environment.finish(&mut doctor, b"");
    for line in ["channel proxy ", "channel port-forward ", "channel exec ", "storage "] {
        assert!(output.text().contains(&format!("\nok       {line}")), "{line}: {output}");
    }
    // What goes around the bodies is in it, too.
    let moved = relay.counts().up + relay.counts().down;
    assert!((15 << 20..=16 << 20).contains(&moved), "{moved} bytes");
}

#[test]
fn who_lacks_a_right_is_told_what_to_ask_for() {
    let environment = TestEnvironment::new();
    let api_server = ladder::api_server(&environment);
    environment.write_kubeconfig(&api_server);
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    api_server.put_object(reviews, json!({"spec": {}, "status": {"allowed": false}}));
    let doctor = |format: &[&str]| {
        let mut doctor = environment.reposure();
        doctor.env_remove("REPOSURE_SURROGATE").args(["doctor", "-n", "test", "-k", "config"]).args(format);
        environment.finish(&mut doctor, b"")
    };
    let checks: Vec<Value> = serde_json::from_str(&doctor(&["-o", "json"]).text()).unwrap();
    let push = checks.iter().find(|check| check["name"] == "right to push").unwrap();
    assert_eq!(push["state"], "failed");
    insta::assert_snapshot!(push["try"].as_str().unwrap(), @r"
    ask for it, with your name for USER, or for the role edit in the namespace:
    kubectl create role reposure-push-proxy --namespace=test --verb=get,create,update --resource=pods/proxy --resource-name=https:reposure-surrogate-default-0:10250 && kubectl create rolebinding reposure-push-proxy --namespace=test --role=reposure-push-proxy --user=USER
    kubectl create role reposure-surrogate-default-push-token --namespace=test --verb=create --resource=serviceaccounts/token --resource-name=reposure-surrogate-default-push && kubectl create rolebinding reposure-surrogate-default-push-token --namespace=test --role=reposure-surrogate-default-push-token --user=USER
    ");
    let text = doctor(&[]).text();
    let lines = format!("\n{:33}try: ask for it, with your name for USER", "");
    assert!(text.contains(&lines), "{text}");
    assert!(text.contains(&format!("\n{:38}kubectl create role reposure-push-proxy ", "")), "{text}");
}
