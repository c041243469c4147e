//! Checks the registry client by hand against a real registry: `check_registry http://127.0.0.1:5000 [USER PASSWORD]`.
//!
//! It stores images of random bytes in the repositories `check/a` and `check/b`, and deletes their tags.

#![allow(clippy::print_stdout, reason = "a program")]

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use http_body_util::BodyExt;
use reposure_oci::{
    Digest, DirectOptions, DirectTransport, Endpoint, MediaType, RawManifest, Reference, RepositoryName,
    Scheme, Tag,
    auth::{Credentials, FixedCredentials},
    registry::{Client, Mount},
    transport::{empty, full},
};
use reposure_testing::RandomImage;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Check {
    client: Client<DirectTransport>,
    repository: RepositoryName,
    other: RepositoryName,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = Check {
        client: Client::new(DirectTransport::new(options(&arguments)?)?),
        repository: "check/a".parse()?,
        other: "check/b".parse()?,
    };
    println!("ping: {:?}", check.client.ping().await?);
    let images =
        [check.push(rand::random(), &["one", "same"]).await?, check.push(rand::random(), &["other"]).await?];
    check.read(&images[0]).await?;
    check.mount(&images[0]).await?;
    check.patch().await?;
    check.delete().await
}

fn options(arguments: &[String]) -> Result<DirectOptions> {
    let url = arguments.first().ok_or("usage: check_registry URL [USER PASSWORD]")?;
    let (scheme, host) = url.split_once("://").ok_or("no URL")?;
    let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
    let mut options = DirectOptions::new(Endpoint::new(scheme, host)?);
    if let [_, username, password] = arguments {
        let (username, password) = (username.clone(), password.as_str().into());
        options.credentials = Arc::new(FixedCredentials::from(Credentials::Basic { username, password }));
    }
    Ok(options)
}

impl Check {
    async fn push(&self, seed: u64, tags: &[&str]) -> Result<RandomImage> {
        let image = RandomImage::new(seed, 2, 1 << 20)?;
        for blob in image.blobs() {
            let digest = Digest::sha256_of(&blob);
            assert_eq!(self.client.head_blob(&self.repository, &digest).await?, None);
            self.client
                .upload_monolithic(&self.repository, &digest, blob.len() as u64, full(blob.clone()))
                .await?;
            assert_eq!(self.client.head_blob(&self.repository, &digest).await?, Some(blob.len() as u64));
        }
        let manifest = RawManifest::new(MediaType::new(image.media_type()), image.manifest().clone())?;
        for tag in tags {
            self.client.put_manifest(&self.repository, &tag.parse()?, &manifest).await?;
            assert_eq!(self.client.get_manifest(&self.repository, &tag.parse()?).await?, manifest);
            let head = self.client.head_manifest(&self.repository, &tag.parse()?).await?;
            assert_eq!(head, Some(manifest.descriptor()));
        }
        println!("pushed {} as {tags:?}", image.digest());
        Ok(image)
    }

    async fn read(&self, image: &RandomImage) -> Result<()> {
        let layer = &image.layers()[0].gzip;
        let (digest, size) = (Digest::sha256_of(layer), layer.len() as u64);
        for range in [0..size, 10..20, size - 1..size] {
            let stream = self.client.get_blob_range(&self.repository, &digest, range.clone()).await?;
            let (start, end) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
            assert_eq!(
                stream.body.collect().await.map_err(|error| error as Box<dyn Error>)?.to_bytes(),
                layer[start..end]
            );
        }
        println!("tags: {:?}", self.client.tags(&self.repository).await?);
        println!("catalog: {:?}", self.client.catalog().await?);
        let missing = Reference::Digest(Digest::sha256_of("missing"));
        let error =
            self.client.get_manifest(&self.repository, &missing).await.expect_err("it must be refused");
        println!("missing: {error}: {}", error.failure);
        Ok(())
    }

    async fn mount(&self, image: &RandomImage) -> Result<()> {
        let digest = Digest::sha256_of(&image.layers()[0].gzip);
        println!("mount: {:?}", self.client.mount(&self.other, &digest, &self.repository).await?);
        match self.client.mount(&self.other, &Digest::sha256_of("missing"), &self.repository).await? {
            Mount::Mounted => Err("mounted what is not there".into()),
            Mount::Open(session) => Ok(self.client.cancel_upload(session).await?),
        }
    }

    async fn patch(&self) -> Result<()> {
        let bytes = Bytes::from(vec![7; 3 << 20]);
        let digest = Digest::sha256_of(&bytes);
        let mut session = self.client.start_upload(&self.repository).await?;
        println!("status of a new upload: {:?}", self.client.upload_status(&mut session).await);
        self.client.patch_stream(&mut session, full(bytes.slice(..1 << 20))).await?;
        println!("status after 1 MiB: {:?}", self.client.upload_status(&mut session).await);
        self.client.patch_chunk(&mut session, bytes.slice(1 << 20..2 << 20)).await?;
        self.client.patch_stream(&mut session, full(bytes.slice(2 << 20..))).await?;
        self.client.finish_upload(session, &digest, bytes.len() as u64).await?;
        let empty_digest = Digest::sha256_of("");
        self.client.upload_monolithic(&self.repository, &empty_digest, 0, empty()).await?;
        let wrong = self
            .client
            .upload_monolithic(&self.repository, &empty_digest, 1, full("x"))
            .await
            .expect_err("it must be refused");
        println!("wrong digest: {wrong}: {}", wrong.failure);
        Ok(())
    }

    async fn delete(&self) -> Result<()> {
        for tag in ["one", "other", "same"] {
            let deletion = self.client.delete_tag_safely(&self.repository, &tag.parse::<Tag>()?).await?;
            println!("delete {tag}: {deletion:?}, left: {:?}", self.client.tags(&self.repository).await?);
        }
        let again = self
            .client
            .delete_tag_safely(&self.repository, &"one".parse::<Tag>()?)
            .await
            .expect_err("it must be refused");
        println!("delete again: {again}: {}", again.failure);
        Ok(())
    }
}
