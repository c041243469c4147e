//! Registries of others, found in the cluster.

use serde_json::{Value, json};

use crate::TestEnvironment;

fn harbor(namespace: &str) -> Value {
    json!({"metadata": {"name": "harbor-core", "namespace": namespace},
        "spec": {"ports": [{"name": "http-web", "port": 80}], "selector": {"app": "harbor", "component": "core"}}})
}

/// Anybody may have a Service that looks like a registry's.
#[test]
fn of_several_none_is_taken_without_a_word() {
    let environment = TestEnvironment::alone();
    let api_server = environment.api_server();
    let create = |provider: &str, services: &[Value]| {
        let list = json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": services});
        api_server.put_object("/api/v1/services", list);
        let provider = format!("--provider={provider}");
        let create = ["registry", "create", "a", "--standalone", "--dry-run", "-k", "config", &provider];
        environment.run(&create)
    };
    for provider in ["auto", "harbor"] {
        let found = create(provider, &[harbor("harbor")]);
        assert_eq!(found.code, 0, "{found}");
        assert!(found.text().contains("harbor-core.harbor.svc"), "{found}");
        let several = create(provider, &[harbor("a-tenants"), harbor("harbor")]);
        assert_eq!(several.code, 2, "{several}");
        let places = "several Services of Harbor: a-tenants/harbor-core, harbor/harbor-core";
        assert!(several.stderr.contains(places), "{several}");
    }
}
