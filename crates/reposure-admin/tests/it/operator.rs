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
    plan::operator(&OperatorOptions { scope: Scope::Cluster, crd: false, ..OperatorOptions::new("work") })
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
        "events",
    ];
    assert_eq!(written, expected);
}

#[test]
fn has_no_rights_in_the_cluster_when_for_one_namespace() {
    let options = OperatorOptions { role: Some("view".into()), ..OperatorOptions::new("work") };
    let plan = plan::operator(&options);
    insta::assert_debug_snapshot!(names(&plan), @r#"
    [
        "CustomResourceDefinition registries.reposure.puccini.cloud",
        "ClusterRole reposure-view",
        "ClusterRole reposure-edit",
        "ClusterRole reposure-admin",
        "ServiceAccount work/reposure-operator",
        "Role work/reposure-operator",
        "RoleBinding work/reposure-operator",
        "RoleBinding work/reposure-operator-view",
        "Deployment work/reposure-operator",
    ]
    "#);
    let objects = objects(&plan);
    assert_eq!(
        objects[7]["roleRef"],
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
    assert_eq!(deployment["spec"]["strategy"], json!({"type": "Recreate"}));
}
