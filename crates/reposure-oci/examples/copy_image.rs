//! Copies an image from one registry to another: `copy_image URL NAME URL NAME`, as in
//! `copy_image http://localhost:5000 app:v1 https://registry.example backup/app:v1`.
//!
//! Credentials of the second registry are a name and a password in the files `username` and `password` of the folder that
//! a fifth argument names.

#![allow(clippy::print_stdout, reason = "a program")]

use std::{error::Error, sync::Arc};

use reposure_oci::{
    DirectOptions, DirectTransport, Endpoint,
    auth::CredentialsFolder,
    registry::Client,
    transfer::{Progress, PushOptions, copy},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", run(&arguments).await?);
    Ok(())
}

/// Returns the digest that the program prints.
pub(crate) async fn run(arguments: &[String]) -> Result<String, Box<dyn Error + Send + Sync>> {
    let ([from_url, from, to_url, to], folder) = (match arguments {
        [source @ .., folder] if source.len() == 4 => (source, Some(folder)),
        all => (all, None),
    }) else {
        return Err("usage: copy_image URL NAME URL NAME [FOLDER]".into());
    };
    let source = Client::new(DirectTransport::new(DirectOptions::new(from_url.parse()?))?);
    let endpoint: Endpoint = to_url.parse()?;
    let mut options = DirectOptions::new(endpoint.clone());
    if let Some(folder) = folder {
        options.credentials = Arc::new(CredentialsFolder::new(folder, [endpoint.host()]));
    }
    let target = Client::new(DirectTransport::new(options)?);
    let (from, to, options) = (from.parse()?, to.parse()?, PushOptions::default());
    Ok(copy(&source, &from, &target, &to, &options, Progress::none()).await?.to_string())
}
