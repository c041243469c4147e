//! Shows what an archive of images holds: `inspect_archive FILE`.
//!
//! The file is a docker-archive, an OCI archive, either of them compressed, or a folder with an OCI layout.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;

use reposure_oci::{Artifact, Spool, archive};

/// Room for what is compressed and decompressed, in bytes.
const SPOOL: u64 = 4 << 30;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments).await?.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Returns the lines that the program prints.
pub(crate) async fn run(arguments: &[String]) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let [file] = arguments else { return Err("usage: inspect_archive FILE".into()) };
    let options = archive::Options::new(Spool::new(std::env::temp_dir(), SPOOL));
    let mut lines = Vec::new();
    for entry in archive::open(file, options).await?.entries {
        lines.push(format!("names: {}", entry.names.join(", ")));
        show(&entry.artifact, &mut lines).await?;
    }
    Ok(lines)
}

async fn show(artifact: &Artifact, lines: &mut Vec<String>) -> Result<(), Box<dyn Error + Send + Sync>> {
    match artifact {
        Artifact::Image(image) => {
            // Of a docker-archive this compresses the layers: a registry knows the image by the result.
            lines.push(format!("image {}", image.manifest().await?.digest()));
            for part in image.parts() {
                let blob = part.prepare().await?;
                lines.push(format!("  {}: {} bytes", part.label(), blob.descriptor().size));
            }
        }
        Artifact::Index(index) => {
            lines.push(format!("index {}", index.manifest().digest()));
            for child in index.children() {
                Box::pin(show(child, lines)).await?;
            }
        }
    }
    Ok(())
}
