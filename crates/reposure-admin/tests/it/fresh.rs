//! The generated files are those that the code makes.

use std::{fs, path::Path};

use reposure_admin::{OperatorOptions, Scope, chart, manifests};

fn check(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name);
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "deploy/{name} is stale: run `cargo run -p reposure-admin --example generate -- deploy`"
    );
}

#[test]
fn the_definition_is_fresh() {
    check("crd.yaml", &manifests::crd().unwrap());
}

#[test]
fn the_operator_is_fresh() {
    let options = OperatorOptions { scope: Scope::Cluster, crd: false, ..OperatorOptions::new("reposure") };
    check("operator.yaml", &manifests::operator(&options).unwrap());
}

#[test]
fn the_chart_is_fresh() {
    for file in chart::files().unwrap() {
        check(&format!("chart/{}", file.path), &file.text);
    }
}

#[test]
fn kustomize_takes_both() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomization.yaml");
    let written: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(written["resources"], serde_json::json!(["crd.yaml", "operator.yaml"]));
}
