//! Pulls an image of a registry into an archive: `pull_archive URL NAME FILE`, as in
//! `pull_archive http://localhost:5000 myrepo/app:v1 app.tar`.
//!
//! The archive is for `docker load`, `podman load`, `ctr images import` and `skopeo copy`.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;

use reposure_oci::{
    DirectOptions, DirectTransport, ImageName,
    registry::Client,
    remote::fetch,
    sink::{ArchiveName, AtomicFile, Durability, write_artifact},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", run(&arguments).await?);
    Ok(())
}

/// Returns the digest that the program prints.
pub(crate) async fn run(arguments: &[String]) -> Result<String, Box<dyn Error + Send + Sync>> {
    let [url, name, file] = arguments else { return Err("usage: pull_archive URL NAME FILE".into()) };
    let client = Client::new(DirectTransport::new(DirectOptions::new(url.parse()?))?);
    let image: ImageName = name.parse()?;
    let artifact = fetch(&client, &image, None).await?;

    // The file gets its name when all of it is there and verified.
    let file = AtomicFile::create(file)?;
    let out = tokio::fs::File::from_std(file.file().try_clone()?);
    let host = Some(client.transport().endpoint().host().into());
    write_artifact(&artifact, vec![ArchiveName::Image { host, image }], out).await?;
    file.commit(Durability::Machine).await?;
    Ok(artifact.manifest().await?.digest().to_string())
}
