//! `reposure image push REGISTRY IMAGE SOURCE`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_client::push::{PushOptions, push};
use reposure_oci::{
    Digest, ImageName, Spool,
    archive::{self, SelectError},
};
use reposure_parcel::wire::Right;
use serde::Serialize;

use super::{cache::CacheArgs, compression::CompressionArgs};
use crate::{
    bars::Bars,
    connect,
    context::Context,
    exit::{self, Failure},
    output,
};

/// What compressed layers and unpacked archives may take on disk together, in bytes: more than any image should have.
const SPOOL_LIMIT: u64 = 256 << 30;

/// Push an image into a registry
///
/// SOURCE is an archive of `docker save`, `podman save`, `skopeo` or `crane` (docker-archive or OCI archive, `.tar`, `.tar.gz`,
/// `.tgz`), a folder with an OCI layout, or any other file, which becomes an image of one layer.
///
/// The digest of what was pushed goes to standard output.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The registry's name
    registry: String,
    /// The name that the image gets: NAME[:TAG], without a host; the tag is `latest` by default
    image: ImageName,
    /// The archive, folder or file
    source: PathBuf,
    /// Which image of an archive that holds several: its name there, or @N for the Nth from 0
    #[arg(long, value_name = "NAME")]
    source_tag: Option<String>,
    /// How many chunks are sent at once
    #[arg(long, value_name = "N", default_value_t = PushOptions::default().jobs)]
    jobs: usize,
    #[command(flatten)]
    compression: CompressionArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

fn unchosen(args: &PushArgs, error: SelectError) -> Failure {
    let failure = Failure::because(format!("cannot choose an image of {}", args.source.display()), error);
    failure.hint("--source-tag NAME, or --source-tag @0 for the first")
}

#[derive(Serialize)]
struct Pushed {
    name: ImageName,
    digest: Digest,
}

pub(super) async fn run(context: &Context, args: PushArgs) -> Result<()> {
    // What is wrong with the source is said before anything is asked of the cluster.
    let spool = Spool::new(std::env::temp_dir(), SPOOL_LIMIT);
    let mut options = archive::Options::new(spool);
    options.compression = args.compression.compression()?;
    options.cache = args.cache.cache();
    let archive = archive::open(&args.source, options).await?;
    let entry = archive.select(args.source_tag.as_deref()).map_err(|error| unchosen(&args, error))?;
    for digest in &entry.omitted {
        exit::warn(&format!(
            "{} does not hold {digest}, which its index names: it is left out",
            args.source.display()
        ));
    }
    let session = connect::session(context, &args.registry, Right::Push).await?;
    let (bars, progress) = Bars::start();
    let options = PushOptions { jobs: args.jobs };
    let pushed = push(session, &entry.artifact, &args.image, options, progress).await;
    bars.finish().await;
    let digest = pushed.with_context(|| {
        format!("cannot push {} to {} of registry {}", args.source.display(), args.image, args.registry)
    })?;
    let line = digest.to_string();
    output::fact(context.format(), &Pushed { name: args.image, digest }, &line)
}
