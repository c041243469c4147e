//! The generated reference is the one that the program's help makes.

use std::{fs, path::Path};

#[test]
fn the_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == reposure_cli::reference(),
        "docs/cli.md is stale: run `cargo run -p reposure-cli --example cli_reference -- docs/cli.md`"
    );
}

#[test]
fn every_command_is_in_the_reference() {
    let reference = reposure_cli::reference();
    for command in
        ["image push", "image pull", "registry create", "operator install", "simple host", "version"]
    {
        assert!(reference.contains(&format!("\n## reposure {command}\n")), "{command}");
    }
}
