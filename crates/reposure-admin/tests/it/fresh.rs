//! The generated files are those that the code makes.

use std::{fs, path::Path};

use reposure_admin::{OperatorOptions, Scope, manifests};

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
