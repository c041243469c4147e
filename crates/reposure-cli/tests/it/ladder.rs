//! Which channel is taken, before an API server that leads to a surrogate by each of them.

use std::fs;

use reposure_testing::{
    FakeApiServer, RandomImage,
    api_server::{Failure, How},
};
use serde_json::json;

use crate::{TestEnvironment, environment::Output};

const REGISTRY: &str = "/apis/reposure.puccini.cloud/v1alpha1/namespaces/test/registries/default";
const HELLO: &str = "/reposure/v1/hello";

/// Starts an API server that knows the registry and leads to its surrogate.
pub(crate) fn api_server(environment: &TestEnvironment) -> FakeApiServer {
    let api_server = environment.api_server_before_surrogate();
    let spec = json!({"type": "oci", "direct": {"host": "registry"}});
    let registry = json!({
        "apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
        "metadata": {"name": "default", "namespace": "test"}, "spec": spec,
    });
    api_server.put_object(REGISTRY, registry);
    api_server
}

/// Runs the program with no other way to the surrogate than through the API server.
fn run(environment: &TestEnvironment, api_server: &FakeApiServer, command: &[&str]) -> Output {
    environment.write_kubeconfig(api_server);
    let mut reposure = environment.reposure();
    reposure.env_remove("REPOSURE_SURROGATE").args(command).args(["-n", "test", "-k", "config", "-v"]);
    environment.finish(&mut reposure, b"")
}

fn list(environment: &TestEnvironment, api_server: &FakeApiServer) -> Output {
    run(environment, api_server, &["image", "list", "default"])
}

#[test]
fn a_channel_that_crawls_leads_to_the_next_one() {
    let environment = TestEnvironment::new();
    let api_server = api_server(&environment);
    // What goes by port-forward is no path that the API server sees.
    api_server.fail(Failure::next("/reposure/v1/probe", How::Hang));

    let output = list(&environment, &api_server);
    assert_eq!(output.code, 0, "{output}");
    let taken = "channel port-forward, since proxy: 1 MiB takes more than 10 s";
    assert!(output.stderr.contains(taken), "{output}");
    assert_eq!(api_server.heal(), 0, "it was not timed");

    // It is not timed again.
    let output = list(&environment, &api_server);
    assert!(output.code == 0 && output.stderr.contains("channel port-forward as before"), "{output}");
}

/// A channel is open when the surrogate itself says hello over it, and not before.
#[test]
fn a_channel_on_which_somebody_else_answers_or_nobody_leads_to_the_next_one() {
    for (how, why) in [
        (How::Hang, "no answer to /reposure/v1/hello within 10 s"),
        (How::Status(200), "the API server answered /reposure/v1/hello itself, with 200 OK"),
    ] {
        let environment = TestEnvironment::new();
        let api_server = api_server(&environment);
        api_server.fail(Failure::next(HELLO, how));
        let output = list(&environment, &api_server);
        let taken = format!("channel port-forward, since proxy: {why}");
        assert!(output.code == 0 && output.stderr.contains(&taken), "{output}");
    }
}

/// What was closed yesterday, or slow, is better than what breaks today.
#[test]
fn a_push_goes_on_over_a_channel_that_comes_before_its_own() {
    let environment = TestEnvironment::new();
    let api_server = api_server(&environment);
    let push = |seed| {
        environment.write_oci_archive("app.tar", &RandomImage::new(seed, 2, 6 << 20).unwrap());
        run(&environment, &api_server, &["image", "push", "default", &format!("app{seed}:v1"), "app.tar"])
    };
    for path in [HELLO, "/portforward"] {
        let closed = Failure { path: path.into(), after: 0, times: 10, how: How::Status(503) };
        api_server.fail(closed);
    }
    let output = push(1);
    assert!(output.code == 0 && output.stderr.contains("channel exec, since proxy: "), "{output}");
    api_server.heal();

    // The session breaks in the middle, and no other begins.
    api_server.fail(Failure::next("/exec", How::CutWithin(3000)));
    api_server.fail(Failure { path: "/exec".into(), after: 0, times: usize::MAX, how: How::Status(403) });
    let output = push(2);
    assert_eq!(output.code, 0, "{output}");
    for said in ["channel exec as before", "channel exec stays broken; going on over proxy"] {
        assert!(output.stderr.contains(said), "{output}");
    }
    assert!(!environment.registry().tags("app2").is_empty());
}

#[test]
fn a_channel_that_was_chosen_is_named() {
    let environment = TestEnvironment::new();
    let api_server = api_server(&environment);
    for channel in ["proxy", "port-forward", "exec"] {
        let output = run(&environment, &api_server, &["image", "list", "default", "--channel", channel]);
        let taken = format!("channel {channel}, as chosen");
        assert!(output.code == 0 && output.stderr.contains(&taken), "{output}");
    }
}

/// What one user may not do another may.
#[test]
fn a_channel_is_remembered_for_each_context() {
    let environment = TestEnvironment::new();
    let api_server = api_server(&environment);
    environment.write_kubeconfig(&api_server);
    let list = |context: &str| {
        let kubeconfig = fs::read_to_string(environment.path("config")).unwrap();
        environment.write("other", kubeconfig.replace("here", context));
        let mut reposure = environment.reposure();
        let args = ["image", "list", "default", "-n", "test", "-k", "other", "-v"];
        environment.finish(reposure.env_remove("REPOSURE_SURROGATE").args(args), b"")
    };
    api_server.fail(Failure::next(HELLO, How::Status(403)));
    for (context, taken) in [
        ("ann", "channel port-forward, since proxy"),
        ("ann", "channel port-forward as before"),
        ("bob", "channel proxy\n"),
        ("ann", "channel port-forward as before"),
        ("bob", "channel proxy as before"),
    ] {
        let output = list(context);
        assert!(output.code == 0 && output.stderr.contains(taken), "{context}: {output}");
    }
}

/// A Role alone grants nothing.
#[test]
fn who_may_nothing_is_told_what_to_ask_for() {
    let environment = TestEnvironment::new();
    let api_server = api_server(&environment);
    for path in [HELLO, "/portforward", "/exec"] {
        api_server.fail(Failure { path: path.into(), after: 0, times: 10, how: How::Status(403) });
    }
    let output = list(&environment, &api_server);
    assert_eq!(output.code, 4, "{output}");
    let (_, hint) = output.stderr.split_once("  try: ").unwrap();
    insta::assert_snapshot!(hint, @r"
    ask for the right to it, with your name for USER; for proxy:
        kubectl create role reposure-pull-proxy --namespace=test --verb=get --resource=pods/proxy --resource-name=https:reposure-surrogate-default-0:10250 && kubectl create rolebinding reposure-pull-proxy --namespace=test --role=reposure-pull-proxy --user=USER
        or for port-forward:
        kubectl create role reposure-pull-port-forward --namespace=test --verb=get,create --resource=pods/portforward --resource-name=reposure-surrogate-default-0 && kubectl create rolebinding reposure-pull-port-forward --namespace=test --role=reposure-pull-port-forward --user=USER
        or for exec:
        kubectl create role reposure-pull-exec --namespace=test --verb=get,create --resource=pods/exec --resource-name=reposure-surrogate-default-0 && kubectl create rolebinding reposure-pull-exec --namespace=test --role=reposure-pull-exec --user=USER
    ");
}
