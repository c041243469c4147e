//! Which channel is taken, before an API server that leads to a surrogate by each of them.

use reposure_testing::{
    FakeApiServer,
    api_server::{Failure, How},
};
use serde_json::json;

use crate::{TestEnvironment, environment::Output};

const REGISTRY: &str = "/apis/reposure.puccini.cloud/v1alpha1/namespaces/test/registries/default";

/// Runs the program with no other way to the surrogate than through the API server.
fn list(environment: &TestEnvironment, api_server: &FakeApiServer) -> Output {
    environment.write_kubeconfig(api_server);
    let args = ["image", "list", "default", "-n", "test", "-k", "config", "-v"];
    environment.finish(environment.reposure().env_remove("REPOSURE_SURROGATE").args(args), b"")
}

#[test]
fn a_channel_that_crawls_leads_to_the_next_one() {
    let environment = TestEnvironment::new();
    let api_server = environment.api_server_before_surrogate();
    let spec = json!({"type": "oci", "direct": {"host": "registry"}});
    let registry = json!({
        "apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
        "metadata": {"name": "default", "namespace": "test"}, "spec": spec,
    });
    api_server.put_object(REGISTRY, registry);
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
