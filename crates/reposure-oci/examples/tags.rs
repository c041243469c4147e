//! Lists the tags of a repository, after it deleted those that are named: `tags URL REPOSITORY [TAG…]`, as in
//! `tags http://localhost:5000 myrepo/app v1 v2`.

#![allow(clippy::print_stdout, reason = "a program")]

use std::error::Error;

use reposure_oci::{DirectOptions, DirectTransport, RepositoryName, registry::Client};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments).await?.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Returns the lines that the program prints.
pub(crate) async fn run(arguments: &[String]) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let [url, repository, tags @ ..] = arguments else {
        return Err("usage: tags URL REPOSITORY [TAG…]".into());
    };
    let client = Client::new(DirectTransport::new(DirectOptions::new(url.parse()?))?);
    let repository: RepositoryName = repository.parse()?;
    for tag in tags {
        // Other tags of the same image stay, also where a registry can only delete whole images.
        client.delete_tag_safely(&repository, &tag.parse()?).await?;
    }
    Ok(client.tags(&repository).await?.iter().map(ToString::to_string).collect())
}
