//! Every pod obeys the profile `restricted` and names what it takes.

use reposure_admin::{
    Manager, OperatorOptions, Plan, Scope, Settings, SimpleOptions,
    plan::{self, SimpleKeys},
};
use serde_json::{Value, json};

use crate::surrogate::registry;

fn pods(plan: &Plan) -> Vec<Value> {
    let objects = plan.objects().map(|object| serde_json::to_value(object).unwrap());
    objects.map(|object| object["spec"]["template"]["spec"].clone()).filter(Value::is_object).collect()
}

fn check(pod: &Value) {
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["enableServiceLinks"], false);
    assert!(pod["automountServiceAccountToken"].is_boolean());
    for container in pod["containers"].as_array().unwrap() {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
        for bound in ["requests", "limits"] {
            assert!(container["resources"][bound]["cpu"].is_string());
            assert!(container["resources"][bound]["memory"].is_string());
        }
    }
    // One of a pod's containers may be behind another one of them, which then speaks for it.
    let probed = |container: &Value| container["readinessProbe"]["httpGet"]["path"].is_string();
    assert!(pod["containers"].as_array().unwrap().iter().any(probed));
}

#[test]
fn every_pod_is_restricted() {
    let settings = Settings::new("image", Manager::Operator);
    let surrogate = plan::surrogate(&registry(), &plan::Observed::default(), &settings).unwrap();
    let operator = plan::operator(&OperatorOptions { scope: Scope::Cluster, ..OperatorOptions::new("team") });
    let options = SimpleOptions { tls: true, authorization: true, ..SimpleOptions::new("team") };
    let simple = plan::simple(&options, &SimpleKeys::random());
    let pods: Vec<_> = [surrogate.plan, operator, simple].iter().flat_map(pods).collect();
    assert_eq!(pods.len(), 3);
    pods.iter().for_each(check);
}
