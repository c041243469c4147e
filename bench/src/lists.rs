//! Listing all tags of a registry, beside the same requests by a bare HTTP client.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use reposure_oci::{
    Digest, DirectOptions, DirectTransport, MediaType, RawManifest, Reference, RepositoryName, Tag,
    registry::Client, transport::full,
};
use reposure_testing::RandomImage;

use crate::scene::Scene;

/// How many requests are under way at once, of either client.
const PARALLEL: usize = 8;

/// Compare listing with the same requests by a bare HTTP client
#[derive(Debug, Args)]
pub(crate) struct ListsArgs {
    /// How many runs of each
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How many repositories the registry has
    #[arg(long, default_value_t = 500)]
    repositories: usize,
    /// How many tags each of them has
    #[arg(long, default_value_t = 20)]
    tags: usize,
}

#[tokio::main]
pub(crate) async fn run(args: &ListsArgs) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let folder = root.join("build/bench");
    std::fs::create_dir_all(&folder)?;
    let scene = Scene::start(root, &folder)?;
    let url = format!("http://{}", scene.registry);
    let client = Client::new(DirectTransport::new(DirectOptions::new(url.parse()?))?);
    fill(&client, args).await?;
    let bare = legacy::Client::builder(TokioExecutor::new()).build_http();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..args.runs {
        // Nobody is always the first.
        if run % 2 == 0 {
            theirs.push(list_bare(&bare, &url, args).await?);
        }
        ours.push(list(&client, args).await?);
        if run % 2 == 1 {
            theirs.push(list_bare(&bare, &url, args).await?);
        }
    }
    print(args, &mut ours, &mut theirs);
    Ok(())
}

fn print(args: &ListsArgs, ours: &mut [Duration], theirs: &mut [Duration]) {
    let median = |times: &mut [Duration]| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "{} tags in {} repositories: {ours:.3} s, a bare client {theirs:.3} s, {:.2}x its time",
        args.repositories * args.tags,
        args.repositories,
        ours / theirs
    );
}

fn repository(number: usize) -> Result<RepositoryName> {
    Ok(format!("lists/{number:04}").parse()?)
}

/// Puts one small image into each repository, under all tags.
async fn fill(client: &Client<DirectTransport>, args: &ListsArgs) -> Result<()> {
    let image = RandomImage::new(1, 1, 100)?;
    let manifest = RawManifest::new(MediaType::new(image.media_type()), image.manifest().clone())?;
    stream::iter((0..args.repositories).map(Ok))
        .try_for_each_concurrent(PARALLEL, |number| {
            let (image, manifest) = (&image, &manifest);
            async move { fill_one(client, &repository(number)?, image, manifest, args.tags).await }
        })
        .await
}

async fn fill_one(
    client: &Client<DirectTransport>,
    repository: &RepositoryName,
    image: &RandomImage,
    manifest: &RawManifest,
    tags: usize,
) -> Result<()> {
    for blob in image.blobs() {
        let (digest, size) = (Digest::sha256_of(&blob), blob.len() as u64);
        client.upload_monolithic(repository, &digest, size, full(blob)).await?;
    }
    for tag in 0..tags {
        let tag: Tag = format!("v{tag}").parse()?;
        client.put_manifest(repository, &Reference::Tag(tag), manifest).await?;
    }
    Ok(())
}

async fn list(client: &Client<DirectTransport>, args: &ListsArgs) -> Result<Duration> {
    let start = Instant::now();
    let images = client.all_tags(PARALLEL).await?;
    let time = start.elapsed();
    let tags: usize = images.iter().map(|(_, tags)| tags.len()).sum();
    ensure!((images.len(), tags) == (args.repositories, args.repositories * args.tags), "tags are missing");
    Ok(time)
}

type Bare = legacy::Client<HttpConnector, Empty<Bytes>>;

/// Sends the same requests, and reads the answers without looking at them.
async fn list_bare(client: &Bare, url: &str, args: &ListsArgs) -> Result<Duration> {
    let start = Instant::now();
    get(client, format!("{url}/v2/_catalog?n=1000")).await?;
    stream::iter(0..args.repositories)
        .map(|number| async move {
            get(client, format!("{url}/v2/{}/tags/list?n=1000", repository(number)?)).await
        })
        .buffered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(start.elapsed())
}

async fn get(client: &Bare, url: String) -> Result<()> {
    let answer = client.get(url.parse()?).await?;
    ensure!(answer.status().is_success(), "{url} gave {}", answer.status());
    answer.into_body().collect().await?;
    Ok(())
}
