//! Credentials for the API server, and its own.

use std::fs;

use reposure_testing::{
    Options, RandomImage,
    api_server::{Failure, How},
};
use serde_json::{Value, json};

use crate::TestEnvironment;

/// Writes a kubeconfig for the namespace of the surrogate's registry.
fn write_kubeconfig(environment: &TestEnvironment, cluster: &Value, user: &Value) {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "test"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    });
    environment.write("config", kubeconfig.to_string());
}

/// A program that gives a token that has expired by the time that it is used is asked again for each request.
#[test]
fn a_push_outlives_the_credentials_that_it_began_with() {
    let environment = TestEnvironment::new();
    let api_server = environment.api_server_before_surrogate();
    // Whoever may not read registries works with the names that they have anyway.
    let denied = Failure { path: "/registries/".into(), after: 0, times: 9, how: How::Status(403) };
    api_server.fail(denied);
    let given = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": "token-NUMBER", "expirationTimestamp": "2020-01-01T00:00:00Z"},
    });
    // A request that is given up leaves its program running beside the next one's: what they share would not stay apart.
    let given = given.to_string().replace("NUMBER", "'$$'");
    environment.write("plugin", format!("echo $$ >> runs; echo '{given}'\n"));
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "/bin/sh", "args": ["plugin"],
    });
    write_kubeconfig(&environment, &json!({"server": api_server.url()}), &json!({"exec": exec}));
    let image = RandomImage::new(1, 2, 5 << 20).unwrap();
    environment.write_oci_archive("app.tar", &image);
    let args = ["image", "push", "default", "app:v1", "app.tar", "--kubeconfig", "config"];
    let mut command = environment.command(env!("CARGO_BIN_EXE_reposure"));
    let output = environment.finish(command.args(args).env_remove("REPOSURE_SURROGATE"), b"");
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(environment.registry().tags("app"), ["v1"]);
    let mut shown: Vec<_> = api_server.seen().into_iter().map(|seen| seen.authorization).collect();
    let requests = shown.len();
    shown.sort();
    shown.dedup();
    assert!(requests > 5 && shown.len() == requests, "one token was shown twice: {shown:?}");
    assert!(shown.iter().flatten().all(|shown| shown.starts_with("Bearer token-")), "{shown:?}");
    let runs = fs::read_to_string(environment.path("runs")).unwrap().lines().count();
    assert!(runs > requests, "{runs} runs for {requests} requests");
}

/// Its certificate was changed, or somebody is in between.
#[test]
fn an_api_server_with_a_certificate_of_another_authority_is_shown_nothing() {
    let environment = TestEnvironment::alone();
    let tls = || environment.other_registry(Options { tls: true, ..Options::default() });
    let (api_server, other) = (tls(), tls());
    let user = json!({"token": "hunter2"});
    let run = |authority: &str| {
        environment.write("ca.crt", authority);
        let server = format!("https://{}", api_server.host());
        write_kubeconfig(
            &environment,
            &json!({"server": server, "certificate-authority": environment.path("ca.crt")}),
            &user,
        );
        environment.run(&["image", "list", "default", "--kubeconfig", "config"])
    };
    let output = run(other.authority().unwrap());
    assert_eq!(output.code, 5, "{output}");
    assert!(output.stderr.contains("certificate") && !output.stderr.contains("hunter2"), "{output}");
    assert!(api_server.requests().is_empty());
    // It is the certificate alone that was in the way.
    run(api_server.authority().unwrap());
    assert!(!api_server.requests().is_empty());
}
