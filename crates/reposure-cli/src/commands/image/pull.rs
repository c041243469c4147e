//! `reposure image pull REGISTRY IMAGE [TARGET]`

mod sink;

use std::{fs::File, os::fd::AsFd as _, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_client::{
    progress::Progress,
    pull::{Place, PullError, PullOptions, Tree, fetch_blobs, fetch_into, fetch_tree},
    session::Session,
};
use reposure_oci::{
    Descriptor, ImageName, RawManifest,
    sink::{ArchiveName, ArchiveWriter, AtomicFile, Durability, Plan, PlannedBlob, SavedImage, unpack_layer},
};
use reposure_parcel::wire::Right;

use crate::{
    bars::Bars,
    connect,
    context::Context,
    exit::{Failure, Kind},
    output,
};
use sink::ArchiveSink;

/// Pull an image out of a registry
///
/// The archive is an OCI layout and a docker-archive at once: `docker load`, `podman load`, `ctr images import` and `skopeo`
/// read it. Without TARGET it goes to standard output.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// The registry's name
    registry: String,
    /// The image: NAME, NAME:TAG or NAME@DIGEST
    image: ImageName,
    /// The file to write
    target: Option<PathBuf>,
    /// Write the file in the image's first layer, instead of an archive
    #[arg(long, short = 'u')]
    unpack: bool,
    /// Bring TARGET to the disk before it gets its name, so that it outlives a power cut
    #[arg(long, requires = "target")]
    fsync: bool,
    /// How many ranges are fetched at once
    #[arg(long, value_name = "N", default_value_t = PullOptions::default().jobs)]
    jobs: usize,
}

/// What the parts of a pull share.
struct Pull {
    session: Arc<Session>,
    name: ImageName,
    options: PullOptions,
    durability: Durability,
}

pub(super) async fn run(context: &Context, args: PullArgs) -> Result<()> {
    if args.target.is_none() && !args.unpack && output::is_terminal() {
        return Err(Failure::new(Kind::Usage, "an archive is nothing for a terminal")
            .hint("name a TARGET, or redirect standard output")
            .into());
    }
    let session = connect::session(context, &args.registry, Right::Pull).await?;
    let options = PullOptions { jobs: args.jobs, ..PullOptions::default() };
    let durability = if args.fsync { Durability::Machine } else { Durability::Program };
    let pull = Pull { session, name: args.image.clone(), options, durability };
    let pulled = pull.run(&args).await;
    pulled.with_context(|| format!("cannot pull {} of registry {}", args.image, args.registry))
}

impl Pull {
    async fn run(&self, args: &PullArgs) -> Result<()> {
        let tree = self.tree(&args.registry).await?;
        let Some(target) = &args.target else {
            return if args.unpack { self.unpack(&tree, stdout()?).await } else { self.pipe(&tree).await };
        };
        let file = AtomicFile::create(target)?;
        let out = file.file().try_clone().context("cannot write the file")?;
        if args.unpack {
            self.unpack(&tree, out).await?;
        } else {
            self.archive(&tree, out).await?;
        }
        Ok(file.commit(self.durability).await?)
    }

    async fn tree(&self, registry: &str) -> Result<Tree> {
        match fetch_tree(&self.session, &self.name).await {
            Err(PullError::Manifest { name, source }) if name == self.name && source.is_not_found() => {
                Err(Failure::new(Kind::NotFound, format!("there is no image {name}"))
                    .hint(format!("reposure image list {registry}"))
                    .into())
            }
            done => Ok(done?),
        }
    }

    /// Lays out an archive of all manifests and blobs.
    fn plan(&self, tree: &Tree) -> Result<Plan> {
        let names = vec![ArchiveName::Image { host: None, image: self.name.clone() }];
        let image = SavedImage { manifest: tree.manifest.clone(), names };
        Ok(Plan::new(&[image], &children(tree))?)
    }

    /// Writes an archive to standard output, in order.
    async fn pipe(&self, tree: &Tree) -> Result<()> {
        let plan = self.plan(tree)?;
        let blobs: Vec<Descriptor> = plan.blobs().iter().map(|blob| blob.descriptor.clone()).collect();
        let out = tokio::fs::File::from_std(stdout()?);
        let mut sink = ArchiveSink::new(ArchiveWriter::new(out, plan).await?, blobs.clone());
        let (session, name) = (&self.session, &self.name);
        shown(async |progress| fetch_blobs(session, name, &blobs, self.options, progress, &mut sink).await)
            .await?;
        Ok(sink.finish().await.map(drop)?)
    }

    /// Writes an archive to a file, each blob where it belongs.
    async fn archive(&self, tree: &Tree, out: File) -> Result<()> {
        let (plan, out) = (self.plan(tree)?, Arc::new(out));
        let place = |blob: &PlannedBlob| Place {
            blob: blob.descriptor.clone(),
            file: out.clone(),
            start: blob.start,
            durable: self.durability == Durability::Machine,
        };
        let places = plan.blobs().iter().map(place).collect();
        let file = out.clone();
        let written = tokio::task::spawn_blocking(move || plan.write_fixed(&file)).await;
        written.context("cannot write the file")?.context("cannot write the file")?;
        self.fetch(places).await
    }

    /// Writes the file in the first layer, once the layer is there whole and verified.
    async fn unpack(&self, tree: &Tree, mut out: File) -> Result<()> {
        let layer = tree.blobs.get(1).ok_or_else(|| {
            Failure::new(Kind::Usage, "the image has no layer to unpack").hint("pull it without --unpack")
        })?;
        let spool = tempfile::tempfile().context("cannot make a temporary file")?;
        let file = Arc::new(spool.try_clone().context("cannot make a temporary file")?);
        self.fetch(vec![Place { blob: layer.clone(), file, start: 0, durable: false }]).await?;
        let media_type = layer.media_type.clone();
        // On a thread of its own, which an interrupt does not wait for: it blocks on whoever reads the output.
        let unpacked = tokio::task::spawn_blocking(move || unpack_layer(&media_type, spool, &mut out)).await;
        unpacked.context("cannot unpack the layer")?.map(drop).map_err(Into::into)
    }

    async fn fetch(&self, places: Vec<Place>) -> Result<()> {
        let (session, name) = (&self.session, &self.name);
        Ok(shown(async |progress| fetch_into(session, name, places, self.options, progress).await).await?)
    }
}

/// Shows the progress of `work` until it ends.
async fn shown<T>(work: impl AsyncFnOnce(&Progress) -> T) -> T {
    let (bars, progress) = Bars::start();
    let done = work(&progress).await;
    drop(progress);
    bars.finish().await;
    done
}

/// Returns standard output as a file without a buffer.
fn stdout() -> Result<File> {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().context("cannot write to standard output")?;
    Ok(stdout.into())
}

/// Lists the manifests below the root.
fn children(tree: &Tree) -> Vec<RawManifest> {
    tree.children
        .iter()
        .flat_map(|child| std::iter::once(child.manifest.clone()).chain(children(child)))
        .collect()
}
