//! `reposure image push REGISTRY IMAGE SOURCE`

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_client::{
    push::{PushOptions, push},
    session::Session,
};
use reposure_oci::{
    Artifact, Digest, ImageName, Reference, RepositoryName, Spool,
    archive::{self, Attached, SelectError},
};
use reposure_parcel::wire::Right;
use serde::Serialize;

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
    /// Push what refers to the image too: signatures, SBOMs and the like that an OCI layout holds
    #[arg(long)]
    referrers: bool,
    /// How many chunks are sent at once
    #[arg(long, value_name = "N", default_value_t = PushOptions::default().jobs)]
    jobs: usize,
}

fn unchosen(args: &PushArgs, error: SelectError) -> Failure {
    let failure = Failure::because(format!("cannot choose an image of {}", args.source.display()), error);
    failure.hint("--source-tag NAME, or --source-tag @0 for the first")
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
    let spool = Spool::new(std::env::temp_dir(), SPOOL_LIMIT);
    let archive = archive::open(&args.source, archive::Options::new(spool)).await?;
    let entry = archive.select(args.source_tag.as_deref()).map_err(|error| unchosen(&args, error))?;
    for digest in &entry.omitted {
        exit::warn(&format!(
            "{} does not hold {digest}, which its index names: it is left out",
            args.source.display()
        ));
    }
    let session = connect::session(context, &args.registry, Right::Push).await?;
    let pushing = Pushing { session, options: PushOptions { jobs: args.jobs }, registry: &args.registry };
    let digest = pushing.push(&entry.artifact, &args.image, &args.source.display().to_string()).await?;
    let attached = if args.referrers { archive.referrers(&entry.artifact) } else { Vec::new() };
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
