//! Writes the reference of all commands: `cargo run -p reposure-cli --example cli_reference -- docs/cli.md`.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let file = PathBuf::from(env::args_os().nth(1).ok_or("usage: cli_reference FILE")?);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, reposure_cli::reference())?)
}
