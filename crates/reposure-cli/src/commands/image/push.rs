//! `reposure image push REGISTRY IMAGE SOURCE`

mod all;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_client::{
    push::{Ahead, PushOptions, push},
    session::Session,
};
use reposure_oci::{Artifact, Digest, ImageName, Place, RepositoryName, archive::Attached};
use reposure_parcel::wire::Right;
use serde::Serialize;

use super::{
    cache::CacheArgs,
    check_name,
    compression::CompressionArgs,
    jobs,
    source::{self, Source, SourceArgs},
};
use crate::{bars::Bars, connect, context::Context, output, place::PlaceParser};

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
/// `registry:HOST/NAME[:TAG|@DIGEST]`, also `docker://…`, is an image of a registry that this machine reaches; its layers go through
/// without a copy on disk. Credentials are those of `docker login`, `podman login` and credential helpers: `REGISTRY_AUTH_FILE`,
/// or else containers/auth.json in `XDG_RUNTIME_DIR` and ~/.config, and config.json in `DOCKER_CONFIG` or ~/.docker. Only a registry
/// on this machine is tried by plain HTTP without being told.
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
    #[command(flatten)]
    of_source: SourceArgs,
    /// Push every image of an archive under its own name: a tag is one of IMAGE, a whole name keeps its path below IMAGE
    ///
    /// IMAGE has no tag then: with `--all team`, `docker.io/library/app:v1` becomes `team/app:v1`, and what is called `v1` alone
    /// becomes `team:v1`. A digest is printed for each, on a line of its own, in the order of names. What only refers to images goes
    /// along with them, with `--referrers`.
    #[arg(long, conflicts_with = "source_tag")]
    all: bool,
    /// Push what refers to the image too: signatures, SBOMs and the like that a registry, an OCI layout or an OCI archive holds; other sources hold none
    #[arg(long)]
    referrers: bool,
    /// How many chunks are sent at once; 1 to 16 by default, as many as the link asks for
    #[arg(long, value_name = "N", value_parser = jobs())]
    jobs: Option<usize>,
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
    if args.referrers {
        source::check_referrers(&args.source)?;
    }
    let mut options = source::options();
    options.compression = args.compression.compression()?;
    options.cache = args.cache.cache();
    let source = Source::open(args.source.clone(), options, &args.of_source, args.referrers).await?;
    if args.all {
        return all::run(context, args, &source).await;
    }
    let entry = source.select(args.of_source.source_tag.as_deref())?;
    let artifact = source.artifact(entry).await?;
    if args.referrers {
        source.check_referrers_of(&artifact)?;
    }
    let ahead = Ahead::of(&artifact, &args.image, args.options());
    let pushing = Pushing::start(context, &args, Some(&ahead)).await?;
    check_name(&pushing.session, &args.image.repository)?;
    let pushed = pushing.push_with_referrers(&source, &artifact, args.image.clone()).await?;
    let line = pushed.digest.to_string();
    output::fact(context.format(), &pushed, &line)
}

impl PushArgs {
    fn options(&self) -> PushOptions {
        PushOptions { jobs: self.jobs, ..PushOptions::default() }
    }
}

/// Where to push, and how.
struct Pushing<'a> {
    session: Arc<Session>,
    options: PushOptions,
    registry: &'a str,
    referrers: bool,
}

impl<'a> Pushing<'a> {
    async fn start(context: &Context, args: &'a PushArgs, ahead: Option<&Ahead>) -> Result<Self> {
        let session = connect::session_for(context, &args.registry, Right::Push, ahead).await?;
        let (options, registry) = (args.options(), args.registry.as_str());
        Ok(Self { session, options, registry, referrers: args.referrers })
    }

    /// Pushes an image, and what refers to it in its source where that was asked for.
    async fn push_with_referrers(
        &self,
        source: &Source,
        artifact: &Artifact,
        name: ImageName,
    ) -> Result<Pushed> {
        let digest = self.push(artifact, &name, &source.describe()).await?;
        let attached = if self.referrers { source.referrers(artifact) } else { Vec::new() };
        let mut referrers = Vec::new();
        for attached in attached {
            referrers.extend(self.push_attached(&attached, &name.repository).await?);
        }
        Ok(Pushed { name, digest, referrers })
    }

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
        let Some(name) = attached.name_in(repository) else { return Ok(None) };
        self.push(&attached.artifact, &name, "a referrer").await.map(Some)
    }
}
