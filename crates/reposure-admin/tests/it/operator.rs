//! The operator's plan.

use reposure_admin::{OperatorOptions, Plan, Scope, plan};
use serde_json::{Value, json};

fn objects(plan: &Plan) -> Vec<Value> {
    plan.objects().map(|object| serde_json::to_value(object).unwrap()).collect()
}

fn names(plan: &Plan) -> Vec<String> {
    plan.objects().map(|object| object.name().to_string()).collect()
}

fn cluster() -> Plan {
    plan::operator(&OperatorOptions { scope: Scope::Cluster, crd: false, ..OperatorOptions::new("team") })
}

#[test]
fn has_named_rights_only() {
    let objects = objects(&cluster());
    let role = objects.iter().find(|object| object["kind"] == "ClusterRole").unwrap();
    let text = role["rules"].to_string();
    for forbidden in ["*", "secrets", "pods/", "serviceaccounts/token", "escalate", "bind", "impersonate"] {
        assert!(!text.contains(forbidden), "{forbidden} in {text}");
    }
    let writing = ["create", "patch", "update", "delete"];
    let written: Vec<_> = role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| {
            rule["verbs"].as_array().unwrap().iter().any(|verb| writing.contains(&verb.as_str().unwrap()))
        })
        .flat_map(|rule| rule["resources"].as_array().unwrap().clone())
        .collect();
    let expected = [
        "registries/status",
        "registries/finalizers",
        "statefulsets",
        "configmaps",
        "serviceaccounts",
        "pods",
        "events",
    ];
    assert_eq!(written, expected);
}

#[test]
fn has_no_rights_in_the_cluster_when_for_one_namespace() {
    let options = OperatorOptions { role: Some("view".into()), ..OperatorOptions::new("team") };
    let plan = plan::operator(&options);
    insta::assert_debug_snapshot!(names(&plan), @r#"
    [
        "CustomResourceDefinition registries.reposure.puccini.cloud",
        "ClusterRole reposure-view",
        "ClusterRole reposure-edit",
        "ClusterRole reposure-admin",
        "ServiceAccount team/reposure-operator",
        "Role team/reposure-operator-election",
        "RoleBinding team/reposure-operator-election",
        "Role team/reposure-operator",
        "RoleBinding team/reposure-operator",
        "RoleBinding team/reposure-operator-view",
        "Lease team/reposure-operator",
        "Deployment team/reposure-operator",
    ]
    "#);
    let objects = objects(&plan);
    assert_eq!(
        objects[9]["roleRef"],
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"})
    );
}

#[test]
fn sees_all_namespaces_when_for_the_cluster() {
    let plan = cluster();
    assert!(names(&plan).contains(&"ClusterRoleBinding reposure-operator".into()));
    let deployment = objects(&plan).pop().unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"][0], "--all-namespaces");
    assert_eq!(deployment["spec"]["strategy"], Value::Null, "the others stand by while one is replaced");
}

#[test]
fn has_rights_in_each_of_several_namespaces_and_the_lease_at_home() {
    let scope = Scope::Namespaces(vec!["a".into(), "b".into()]);
    let plan =
        plan::operator(&OperatorOptions { scope, crd: false, replicas: 2, ..OperatorOptions::new("home") });
    insta::assert_debug_snapshot!(names(&plan), @r#"
    [
        "ServiceAccount home/reposure-operator",
        "Role home/reposure-operator-election",
        "RoleBinding home/reposure-operator-election",
        "Role a/reposure-operator",
        "RoleBinding a/reposure-operator",
        "Role b/reposure-operator",
        "RoleBinding b/reposure-operator",
        "Lease home/reposure-operator",
        "Deployment home/reposure-operator",
    ]
    "#);
    let objects = objects(&plan);
    let election = &objects[1]["rules"];
    assert_eq!(election[0]["resourceNames"], json!(["reposure-operator"]));
    assert_eq!(election[1]["verbs"], json!(["create"]));
    let rules = objects[3]["rules"].to_string();
    assert!(!rules.contains("nodes"), "nodes are the cluster's: {rules}");
    assert_eq!(rules.matches("delete").count(), 3, "what it keeps, and pods on lost nodes: {rules}");
    let deployment = &objects[8]["spec"];
    assert_eq!(deployment["replicas"], 2);
    assert_eq!(deployment["template"]["spec"]["containers"][0]["args"][1], "a,b");
    assert_eq!(
        deployment["template"]["spec"]["topologySpreadConstraints"][0]["topologyKey"],
        "kubernetes.io/hostname"
    );
}

#[test]
fn runs_where_its_image_does() {
    let affinity = |architectures: &[&str]| {
        let architectures = architectures.iter().map(ToString::to_string).collect();
        let options = OperatorOptions { architectures, ..OperatorOptions::new("team") };
        let deployment = objects(&plan::operator(&options)).pop().unwrap();
        deployment["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
            ["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]["matchExpressions"]
            .clone()
    };
    assert_eq!(affinity(&[]).as_array().unwrap().len(), 1);
    assert_eq!(affinity(&["amd64", "arm64"])[1]["values"], json!(["amd64", "arm64"]));
}
