//! Pushes an archive's only image to a registry: `push_archive FILE URL NAME`, as in
//! `push_archive app.tar http://localhost:5000 myrepo/app:v1`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::error::Error;

use reposure_oci::{
    DirectOptions, DirectTransport, Spool, archive,
    registry::Client,
    transfer::{Event, Progress, PushOptions, push},
};

/// Room for what is compressed and decompressed, in bytes.
const SPOOL: u64 = 4 << 30;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", run(&arguments).await?);
    Ok(())
}

/// Returns the digest that the program prints.
pub(crate) async fn run(arguments: &[String]) -> Result<String, Box<dyn Error + Send + Sync>> {
    let [file, url, name] = arguments else { return Err("usage: push_archive FILE URL NAME".into()) };
    let options = archive::Options::new(Spool::new(std::env::temp_dir(), SPOOL));
    let archive = archive::open(file, options).await?;
    let artifact = &archive.select(None)?.artifact;
    let client = Client::new(DirectTransport::new(DirectOptions::new(url.parse()?))?);

    let (progress, mut events) = Progress::channel();
    let show = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let Event::Finished { part, how } = event {
                eprintln!("part {part}: {how:?}");
            }
        }
    });
    let digest = push(&client, artifact, &name.parse()?, &PushOptions::default(), progress).await?;
    show.await?;
    Ok(digest.to_string())
}
