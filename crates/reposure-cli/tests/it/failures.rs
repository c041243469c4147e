//! What goes wrong behind the command line: what is said, and the exit code.

use std::net::TcpListener;

use crate::TestEnvironment;

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: nowhere, cluster: {server: 'http://127.0.0.1:PORT'}}]
contexts: [{name: here, context: {cluster: nowhere, user: me, namespace: team}}]
users: [{name: me, user: {token: secret}}]
";

/// A port that nothing listens on.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn missing_files_and_images() {
    let environment = TestEnvironment::new();
    insta::assert_snapshot!(environment.run(&["image", "push", "default", "app", "nothing"]), @r#"
    [3]
    error: cannot read nothing
      because: No such file or directory (os error 2)
    "#);
    insta::assert_snapshot!(environment.run(&["image", "pull", "default", "app:v1", "out.tar"]), @r#"
    [3]
    error: cannot pull app:v1 of registry default
      because: there is no image app:v1
      try: reposure image list default
    "#);
    insta::assert_snapshot!(environment.run(&["image", "delete", "default", "app:v1"]), @r#"
    [3]
    error: there is no image app:v1 in registry default
      try: reposure image list default
    "#);
    assert_eq!(environment.files(), [""; 0]);
}

#[test]
fn a_registry_that_is_down() {
    let mut environment = TestEnvironment::new();
    environment.stop_registry();
    let output = environment.run(&["image", "list", "default"]);
    assert_eq!(output.code, 5, "{output}");
    for text in
        ["error: cannot list the images of registry default\n", "registry: ", "try: see whether the registry"]
    {
        assert!(output.stderr.contains(text), "{text}: {output}");
    }
    let output = environment.run(&["image", "pull", "default", "app", "out.tar"]);
    assert_eq!(output.code, 5, "{output}");
    assert_eq!(environment.files(), [""; 0]);
}

#[test]
fn a_surrogate_that_is_away() {
    let environment = TestEnvironment::alone();
    let address = format!("127.0.0.1:{}", closed_port());
    let output = environment.run(&["image", "list", "default", "--surrogate", &address]);
    assert_eq!(output.code, 5, "{output}");
    assert!(output.stderr.contains(&format!("cannot reach the surrogate at {address}")), "{output}");
    insta::assert_snapshot!(environment.run(&["image", "list", "default", "--surrogate", "192.0.2.1:1"]), @r#"
    [2]
    error: --surrogate: 192.0.2.1:1 is no loopback address: the local channel verifies no certificate
    "#);
}

#[test]
fn no_kubeconfig() {
    let environment = TestEnvironment::alone();
    insta::assert_snapshot!(environment.run(&["image", "list", "default"]), @r#"
    [2]
    error: there is no kubeconfig
      try: --kubeconfig FILE, or the environment variable KUBECONFIG
    "#);
    insta::assert_snapshot!(environment.run(&["registry", "list", "--kubeconfig", "none"]), @r#"
    [3]
    error: cannot read the kubeconfig none
      because: none: No such file or directory (os error 2)
    "#);
    let mut command = environment.command(env!("CARGO_BIN_EXE_reposure"));
    let command = command.args(["registry", "list"]).env("KUBECONFIG", "nowhere");
    insta::assert_snapshot!(environment.finish(command, b""), @r#"
    [3]
    error: cannot read the files of KUBECONFIG
      because: nowhere: No such file or directory (os error 2)
    "#);
    environment.write("bad", "garbage");
    assert_eq!(environment.run(&["registry", "list", "--kubeconfig", "bad"]).code, 2);
}

#[test]
fn the_named_kubeconfig_goes_before_the_variable() {
    let environment = TestEnvironment::alone();
    environment.write("config", KUBECONFIG);
    let mut command = environment.command(env!("CARGO_BIN_EXE_reposure"));
    let command = command.args(["registry", "list", "-k", "none"]).env("KUBECONFIG", "config");
    assert_eq!(environment.finish(command, b"").code, 3);
}

#[test]
fn a_context_that_is_not_there() {
    let environment = TestEnvironment::alone();
    environment.write("config", KUBECONFIG);
    insta::assert_snapshot!(environment.run(&["registry", "list", "-k", "config", "-x", "there"]), @r#"
    [3]
    error: the kubeconfig has no context there
      try: --context with one of here
    "#);
}

#[test]
fn an_api_server_without_an_address() {
    let environment = TestEnvironment::alone();
    environment.write("config", KUBECONFIG.replace("PORT", "1"));
    insta::assert_snapshot!(environment.run(&["registry", "list", "-k", "config", "-m", "somewhere"]), @r#"
    [2]
    error: "somewhere" is no address of an API server
      try: https://HOST:PORT
    "#);
    environment.write("config", KUBECONFIG.replace("http://127.0.0.1:PORT", "somewhere"));
    assert_eq!(environment.run(&["registry", "list", "-k", "config"]).code, 2);
}

#[test]
fn an_api_server_that_is_silent() {
    let environment = TestEnvironment::alone();
    let port = closed_port();
    environment.write("config", KUBECONFIG.replace("PORT", &port.to_string()));
    for args in [
        &["registry", "list"][..],
        &["registry", "create", "default", "--provider=simple"],
        &["image", "list", "default"],
        &["operator", "install"],
    ] {
        let output = environment.run(&[args, &["-k", "config"]].concat());
        assert_eq!(output.code, 5, "{args:?}: {output}");
        let expected = format!("because: no answer from the API server at http://127.0.0.1:{port}/\n");
        assert!(output.stderr.contains(&expected), "{output}");
        assert!(
            output.stderr.contains("try: see that the API server can be reached: `kubectl version`"),
            "{output}"
        );
        assert!(!output.stderr.contains("secret"), "{output}");
    }
}

#[test]
fn a_log_that_cannot_be_written() {
    let environment = TestEnvironment::alone();
    insta::assert_snapshot!(environment.run(&["version", "--log", "no/such/folder"]), @r#"
    [3]
    error: cannot write the log no/such/folder
      because: No such file or directory (os error 2)
    "#);
}

#[test]
fn daemons_that_are_away_are_named() {
    let environment = TestEnvironment::new();
    let push = |source: &str, variable: &str, address: &str| {
        let args = ["image", "push", "default", "app", source];
        let mut command = environment.command(env!("CARGO_BIN_EXE_reposure"));
        environment.finish(command.args(args).env(variable, address), b"")
    };
    insta::assert_snapshot!(push("docker-daemon:app", "DOCKER_HOST", "unix:///nowhere/docker.sock"), @r#"
    [5]
    error: docker does not run: there is no socket at unix:///nowhere/docker.sock
      try: systemctl start docker, or the environment variable DOCKER_HOST=unix:///PATH
    "#);
    let away = push("podman:app", "CONTAINER_HOST", "unix:///nowhere/podman.sock");
    assert_eq!(away.code, 5, "{away}");
    insta::assert_snapshot!(push("podman:app", "CONTAINER_HOST", "ssh://me@host"), @r#"
    [2]
    error: CONTAINER_HOST: "ssh://me@host" is an address that is not supported here: write unix:///PATH or tcp://HOST:PORT
    "#);
}
