//! `reposure image push REGISTRY IMAGE SOURCE`

use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_client::{
    push::{PushOptions, push},
    session::Session,
};
use reposure_oci::{Artifact, Digest, ImageName, Place, Reference, RepositoryName, archive::Attached};
use reposure_parcel::wire::Right;
use serde::Serialize;

use super::{
    cache::CacheArgs,
    compression::CompressionArgs,
    source::{self, Source},
};
use crate::{bars::Bars, connect, context::Context, exit, output, place::PlaceParser};

/// Push an image into a registry
///
/// SOURCE is an archive of `docker save`, `podman save`, `skopeo` or `crane` (docker-archive or OCI archive, also in gzip,
/// Zstandard, xz or bzip2), a folder with an OCI layout, or any other file, which becomes an image of one layer.
///
/// `-` is standard input, which must be an archive. A prefix says what SOURCE is, where that is not to be found out:
/// `docker-archive:PATH[:NAME]`, `oci-archive:PATH[:NAME]`, `oci:PATH[:NAME]` (a folder), `file:PATH` (the file as it is, even if
/// it is an archive). NAME chooses one of several images, as `--source-tag` does; a path that begins like a prefix is written
/// with its folder: `./oci:x`.
///
/// `docker-daemon:NAME` and `podman:NAME` are images of the daemons on this machine, by name or ID, through their sockets: that of
/// `DOCKER_HOST` or /var/run/docker.sock, that of `CONTAINER_HOST` or podman/podman.sock in `XDG_RUNTIME_DIR` or /run.
///
/// The digest of what was pushed goes to standard output.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The registry's name
    registry: String,
    /// The name that the image gets: NAME[:TAG], without a host; the tag is `latest` by default
    image: ImageName,
    /// The archive, folder, file or image
    #[arg(value_parser = PlaceParser)]
    source: Place,
    /// Which image of an archive that holds several: its name there, or @N for the Nth from 0
    #[arg(long, value_name = "NAME")]
    source_tag: Option<String>,
    /// Push what refers to the image too: signatures, SBOMs and the like that an OCI layout holds
    #[arg(long)]
    referrers: bool,
    /// How many chunks are sent at once
    #[arg(long, value_name = "N", default_value_t = PushOptions::default().jobs)]
    jobs: usize,
    #[command(flatten)]
    compression: CompressionArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Serialize)]
struct Pushed {
    name: ImageName,
    digest: Digest,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    referrers: Vec<Digest>,
}

pub(super) async fn run(context: &Context, args: PushArgs) -> Result<()> {
    // What is wrong with the source is said before anything is asked of the cluster.
    let mut options = source::options();
    options.compression = args.compression.compression()?;
    options.cache = args.cache.cache();
    let source = Source::open(args.source, options).await?;
    let entry = source.select(args.source_tag.as_deref())?;
    for digest in &entry.omitted {
        exit::warn(&format!(
            "{} does not hold {digest}, which its index names: it is left out",
            source.describe()
        ));
    }
    let session = connect::session(context, &args.registry, Right::Push).await?;
    let pushing = Pushing { session, options: PushOptions { jobs: args.jobs }, registry: &args.registry };
    let digest = pushing.push(&entry.artifact, &args.image, &source.describe()).await?;
    let attached = if args.referrers { source.referrers(&entry.artifact) } else { Vec::new() };
    let mut referrers = Vec::new();
    for attached in attached {
        referrers.extend(pushing.push_attached(&attached, &args.image.repository).await?);
    }
    let line = digest.to_string();
    output::fact(context.format(), &Pushed { name: args.image, digest, referrers }, &line)
}

/// Where to push, and how.
struct Pushing<'a> {
    session: Arc<Session>,
    options: PushOptions,
    registry: &'a str,
}

impl Pushing<'_> {
    async fn push(&self, artifact: &Artifact, name: &ImageName, what: &str) -> Result<Digest> {
        let (bars, progress) = Bars::start();
        let pushed = push(self.session.clone(), artifact, name, self.options, progress).await;
        bars.finish().await;
        pushed.with_context(|| format!("cannot push {what} to {name} of registry {}", self.registry))
    }

    /// Pushes a referrer, under its tag or by its digest.
    async fn push_attached(
        &self,
        attached: &Attached,
        repository: &RepositoryName,
    ) -> Result<Option<Digest>> {
        let Some(manifest) = attached.artifact.ready_manifest() else { return Ok(None) };
        let digest = || Reference::Digest(manifest.digest().clone());
        let reference = attached.tag.clone().map_or_else(digest, Reference::Tag);
        let name = ImageName { repository: repository.clone(), reference };
        self.push(&attached.artifact, &name, "a referrer").await.map(Some)
    }
}
