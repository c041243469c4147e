//! Writes the generated manifests: `cargo run -p reposure-admin --example generate -- deploy`.

use std::{env, error::Error, fs, path::PathBuf};

use reposure_admin::{OperatorOptions, Scope, chart, manifests};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or("usage: generate FOLDER")?);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("crd.yaml"), manifests::crd()?)?;
    let options = OperatorOptions { scope: Scope::Cluster, crd: false, ..OperatorOptions::new("reposure") };
    fs::write(folder.join("operator.yaml"), manifests::operator(&options)?)?;
    for file in chart::files()? {
        fs::write(folder.join("chart").join(file.path), file.text)?;
    }
    Ok(())
}
