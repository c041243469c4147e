//! What closes pods: policies of the network, and the one on `exec`.

use reposure_admin::{
    Manager, Observed, OperatorOptions, S3, Scope, Settings, SimpleOptions, Storage,
    plan::{self, SimpleKeys},
};
use reposure_api::Registry;
use serde_json::{Value, json};

use crate::surrogate::registry;

/// The specification of the surrogate's `NetworkPolicy`.
fn of_surrogate(registry: &Registry) -> Value {
    let settings = Settings { network_policy: true, ..Settings::new("image:1", Manager::Operator) };
    let plan = plan::surrogate(registry, &Observed::default(), &settings).unwrap().plan;
    let kinds: Vec<String> = plan.objects().map(|object| object.name().kind).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["NetworkPolicy", "StatefulSet"], "it is closed before it starts");
    serde_json::to_value(plan.objects().nth(kinds.len() - 2).unwrap()).unwrap()["spec"].clone()
}

/// What a rule is about: to whom, or nobody in particular, and the ports.
fn egress(spec: &Value) -> Vec<(Value, Vec<u64>)> {
    let rules = spec["egress"].as_array().unwrap();
    let ports = |rule: &Value| {
        let ports = rule["ports"].as_array().cloned().unwrap_or_default();
        ports.iter().map(|port| port["port"].as_u64().unwrap()).collect()
    };
    rules.iter().map(|rule| (rule["to"].clone(), ports(rule))).collect()
}

const DNS: [u64; 4] = [53, 53, 5353, 5353];
const API_SERVERS: [u64; 4] = [443, 6443, 8443, 16443];

#[test]
fn a_surrogate_has_none_unless_it_is_asked_for() {
    let settings = Settings::new("image:1", Manager::Operator);
    let plan = plan::surrogate(&registry(), &Observed::default(), &settings).unwrap().plan;
    assert!(plan.objects().all(|object| object.name().kind != "NetworkPolicy"));
}

#[test]
fn a_surrogate_is_open_where_tokens_protect_it_and_goes_where_it_must() {
    let spec = of_surrogate(&registry());
    assert_eq!(
        spec["podSelector"]["matchLabels"],
        json!({"app.kubernetes.io/instance": "default", "app.kubernetes.io/name": "reposure-surrogate"})
    );
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    let ingress =
        json!([{"ports": [{"port": 10250, "protocol": "TCP"}, {"port": 10251, "protocol": "TCP"}]}]);
    assert_eq!(spec["ingress"], ingress);
    let beside = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team"}}}]);
    let expected = [(Value::Null, DNS.to_vec()), (Value::Null, API_SERVERS.to_vec()), (beside, Vec::new())];
    assert_eq!(egress(&spec), expected);
    let mut moved = registry();
    moved.spec.surrogate_port = Some(8443);
    assert_eq!(of_surrogate(&moved)["ingress"][0]["ports"][0]["port"], 8443);
}

#[test]
fn a_registry_at_a_host_is_let_through_by_its_port() {
    let block = |cidr: &str| json!([{"ipBlock": {"cidr": cidr}}]);
    for (host, to, port) in [
        ("ghcr.io", Value::Null, 443),
        ("registry:5000", Value::Null, 5000),
        ("10.1.2.3", block("10.1.2.3/32"), 80),
        ("10.1.2.3:5000", block("10.1.2.3/32"), 5000),
        ("[fd00::1]", block("fd00::1/128"), 80),
        ("[fd00::1]:5000", block("fd00::1/128"), 5000),
    ] {
        let mut registry = registry();
        registry.spec = serde_json::from_value(json!({"type": "oci", "direct": {"host": host}})).unwrap();
        assert_eq!(egress(&of_surrogate(&registry))[2], (to, vec![port]), "{host}");
    }
}

fn of_simple(options: &SimpleOptions) -> Option<Value> {
    let plan = plan::simple(options, &SimpleKeys::random());
    let mut objects = plan.objects().map(|object| serde_json::to_value(object).unwrap());
    objects.find(|object| object["kind"] == "NetworkPolicy").map(|policy| policy["spec"].clone())
}

#[test]
fn the_simple_registry_goes_nowhere_but_to_its_store() {
    assert_eq!(of_simple(&SimpleOptions::new("team")), None);
    let options = SimpleOptions { network_policy: true, ..SimpleOptions::new("team") };
    let spec = of_simple(&options).unwrap();
    assert_eq!(spec["ingress"], json!([{"ports": [{"port": 5000, "protocol": "TCP"}]}]));
    assert_eq!(spec["egress"], json!([]));
    let behind_gate = of_simple(&SimpleOptions { tls: true, ..options.clone() }).unwrap();
    assert_eq!(behind_gate["ingress"][0]["ports"].as_array().unwrap().len(), 2, "the kubelet asks the gate");
    let at = |endpoint: Option<&str>, secret: Option<&str>| {
        let s3 = S3 {
            bucket: "b".into(),
            prefix: String::new(),
            region: "r".into(),
            endpoint: endpoint.map(Into::into),
            secret: secret.map(Into::into),
        };
        egress(&of_simple(&SimpleOptions { storage: Storage::S3(s3), ..options.clone() }).unwrap())
    };
    let dns = (Value::Null, DNS.to_vec());
    let store = at(Some("http://minio.store.svc:9000/x"), Some("keys"));
    assert_eq!(store, [dns.clone(), (Value::Null, vec![9000])]);
    let metadata = (json!([{"ipBlock": {"cidr": "169.254.0.0/16"}}]), vec![80]);
    let own_rights = at(None, None);
    assert_eq!(own_rights, [dns, (Value::Null, vec![443]), metadata, (Value::Null, vec![443])]);
}

#[test]
fn the_operator_has_rights_on_network_policies_only_where_it_makes_them() {
    for (network_policies, expected) in [(false, 0), (true, 1)] {
        let options = OperatorOptions { network_policies, ..OperatorOptions::new("team") };
        let plan = plan::operator(&options);
        let text = serde_json::to_string(&plan.objects().collect::<Vec<_>>()).unwrap();
        assert_eq!(text.matches(r#""networkpolicies""#).count(), expected);
        assert_eq!(text.matches(r#""--network-policies""#).count(), expected);
    }
}

/// The policy and its binding.
fn of_exec(scope: Scope) -> (Value, Value) {
    let options = OperatorOptions { exec_policy: true, scope, crd: false, ..OperatorOptions::new("team") };
    let plan = plan::operator(&options);
    let objects: Vec<_> = plan.objects().map(|object| serde_json::to_value(object).unwrap()).collect();
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap().clone();
    let deployment = of("Deployment");
    assert_eq!(deployment["metadata"]["annotations"]["reposure.puccini.cloud/exec-policy"], "true");
    (of("ValidatingAdmissionPolicy"), of("ValidatingAdmissionPolicyBinding"))
}

#[test]
fn the_policy_on_exec_holds_where_its_operator_looks() {
    let selector = |binding: &Value| {
        binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0]["values"].clone()
    };
    let (policy, binding) = of_exec(Scope::Namespace);
    assert_eq!(policy["metadata"]["name"], "reposure-exec.team");
    assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    assert_eq!(selector(&binding), json!(["team"]));
    let (_, binding) = of_exec(Scope::Namespaces(vec!["a".into(), "b".into()]));
    assert_eq!(selector(&binding), json!(["a", "b"]));
    let (policy, binding) = of_exec(Scope::Cluster);
    assert_eq!(policy["metadata"]["name"], "reposure-exec");
    assert_eq!(binding["spec"]["matchResources"], Value::Null);
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
}

#[test]
fn the_policy_on_exec_fails_closed_and_knows_the_session_alone() {
    let (policy, _) = of_exec(Scope::Cluster);
    let spec = &policy["spec"];
    assert_eq!(spec["failurePolicy"], "Fail");
    let rules = spec["matchConstraints"]["resourceRules"].as_array().unwrap();
    let of: Vec<_> =
        rules.iter().map(|rule| (rule["operations"].clone(), rule["resources"].clone())).collect();
    let expected = [
        (json!(["CONNECT"]), json!(["pods/exec", "pods/attach"])),
        (json!(["UPDATE"]), json!(["pods/ephemeralcontainers"])),
    ];
    assert_eq!(of, expected);
    let exec = spec["validations"][0]["expression"].as_str().unwrap();
    assert!(exec.contains("object.command == ['/reposure-surrogate', 'session']"), "{exec}");
    let without = plan::operator(&OperatorOptions::new("team"));
    assert!(without.objects().all(|object| !object.name().kind.starts_with("ValidatingAdmission")));
}
