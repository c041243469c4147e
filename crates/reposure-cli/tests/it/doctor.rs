//! `reposure doctor`, beside a surrogate on this machine.

use serde_json::Value;

use crate::TestEnvironment;

#[test]
fn a_surrogate_and_its_registry_are_looked_at() {
    let environment = TestEnvironment::new();
    let checks = environment.ok(&["doctor", "-o", "json"]);
    let checks: Vec<Value> = serde_json::from_str(&checks).unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["channel local", "surrogate", "the registry itself"]);
    assert!(checks.iter().all(|check| check["state"] == "ok"), "{checks:?}");
    let text = environment.ok(&["doctor"]);
    assert!(text.starts_with("ok       channel local           hello after "), "{text}");
    let first = text.lines().next().unwrap();
    assert!(first.contains(", up ") && first.contains(", down ") && first.ends_with("MiB/s"), "{text}");
}

#[test]
fn the_first_hop_that_fails_gives_the_exit_code() {
    let environment = TestEnvironment::alone();
    let output = environment.run(&["doctor", "--surrogate", "127.0.0.1:1"]);
    assert_eq!(output.code, 5, "{output}");
    assert!(
        output.text().starts_with("failed   channel local           cannot reach the surrogate"),
        "{output}"
    );
    assert_eq!(output.stderr, "error: 1 of 1 checks failed, first: channel local\n");
}

#[test]
fn what_is_no_kubeconfig_is_the_first_hop() {
    let environment = TestEnvironment::alone();
    environment.write("config", "apiVersion: v1\nkind: Config\n");
    let output = environment.run(&["doctor", "--kubeconfig", "config"]);
    assert_eq!(output.code, 2, "{output}");
    assert!(output.text().starts_with("failed   kubeconfig "), "{output}");
}
