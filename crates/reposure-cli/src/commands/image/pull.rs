//! `reposure image pull REGISTRY IMAGE [TARGET]`

mod archive;
mod daemon;
mod layout;
mod platform;
mod remote;
mod resume;
mod sink;
mod target;
mod unpack;

use std::{os::fd::AsFd as _, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_client::{
    progress::Progress,
    pull::{AttachedTree, PullError, PullOptions, Tree, fetch_referrers, fetch_tree},
    session::Session,
};
use reposure_oci::{
    ImageName, Place, Platform, RawManifest, Reference,
    remote::RemoteError,
    sink::{ArchiveName, Durability, SavedImage},
};
use reposure_parcel::wire::Right;

use super::{check_name, jobs};
use crate::{
    bars::Bars,
    connect,
    context::Context,
    exit::{Failure, Kind},
    output,
    place::PlaceParser,
};
use target::Target;

/// Pull an image out of a registry
///
/// TARGET is where it goes:
///
/// - `PATH`: an archive that is an OCI layout and a docker-archive at once, which `docker load`, `podman load`, `ctr images import`
///   and `skopeo` read
///
/// - `docker-archive:PATH[:NAME]`, `oci-archive:PATH[:NAME]`: one of these alone
///
/// - `oci:PATH[:NAME]`: an OCI layout in a folder, which is added to if it is there
///
/// - `docker-daemon:NAME`, `podman:NAME`: docker or podman on this machine
///
/// - `registry:HOST/NAME[:TAG]`: another registry, with the credentials of `docker login` or `podman login`
///
/// - `file:PATH`: the file in the image's first layer, as with --unpack
///
/// - `-`: standard output, which is also where it goes without TARGET
///
/// NAME is what the image is called there: by default IMAGE, or its tag alone in OCI forms.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option that is there or not")]
pub(crate) struct PullArgs {
    /// The registry's name
    registry: String,
    /// The image: NAME, NAME:TAG or NAME@DIGEST
    image: ImageName,
    /// Where it goes
    #[arg(value_parser = PlaceParser)]
    target: Option<Place>,
    /// Pull the one image of this platform out of an index, instead of the whole: OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT
    ///
    /// An image that is no index must be of it.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Write the file in the image's first layer, instead of an archive
    #[arg(long, short = 'u')]
    unpack: bool,
    /// Pull what refers to the image too: signatures, SBOMs and the like
    #[arg(long, conflicts_with = "unpack")]
    referrers: bool,
    /// Bring TARGET to the disk before it gets its name, so that it outlives a power cut
    #[arg(long, requires = "target")]
    fsync: bool,
    /// Speak plain HTTP to the registry in TARGET; it is also spoken to one on this machine, unless there is --target-ca
    #[arg(long, requires = "target", conflicts_with = "target_ca")]
    target_plain_http: bool,
    /// The certificates to trust for the registry in TARGET, instead of the system's
    #[arg(long, value_name = "FILE", requires = "target")]
    target_ca: Option<PathBuf>,
    /// How many ranges are fetched at once; 5 by default, up to 16 where that brings more
    #[arg(long, value_name = "N", value_parser = jobs())]
    jobs: Option<usize>,
}

/// What is written somewhere: the image, and what refers to it where that was asked for.
struct Saved {
    images: Vec<SavedImage>,
    /// The manifests that indexes among them name.
    below: Vec<RawManifest>,
}

/// What the parts of a pull share.
struct Pull {
    session: Arc<Session>,
    name: ImageName,
    options: PullOptions,
    durability: Durability,
}

pub(super) async fn run(context: &Context, args: PullArgs) -> Result<()> {
    // What is wrong with the target is said before anything is asked of the cluster.
    let target = Target::of(&args)?;
    let session = connect::session(context, &args.registry, Right::Pull).await?;
    check_name(&session, &args.image.repository)?;
    let options = PullOptions { jobs: args.jobs, ..PullOptions::default() };
    let durability = if args.fsync { Durability::Machine } else { Durability::Program };
    let pull = Pull { session, name: args.image.clone(), options, durability };
    let pulled = pull.run(&args, &target).await;
    pulled.with_context(|| format!("cannot pull {} of registry {}", args.image, args.registry))
}

impl Pull {
    async fn run(&self, args: &PullArgs, target: &Target) -> Result<()> {
        let mut tree = match &args.platform {
            Some(platform) => platform::tree(self, platform, &args.registry).await?,
            None => self.tree(&self.name, &args.registry).await?,
        };
        if args.referrers {
            fetch_referrers(&self.session, &self.name, &mut tree).await?;
        }
        match target {
            Target::Archive { form, path: Some(path), name } => {
                archive::write(self, self.saved(&tree, name.as_ref()), *form, path).await
            }
            Target::Archive { form, path: None, name } => {
                output::written(archive::pipe(self, self.saved(&tree, name.as_ref()), *form).await)
            }
            Target::Layout { path, name } => layout::add(self, self.saved(&tree, name.as_ref()), path).await,
            Target::Registry(to) => remote::copy_to(self, &tree, to, args).await,
            Target::Daemon { daemon, name } => {
                let loaded = daemon::load(self, self.saved(&tree, Some(name)), daemon).await?;
                output::print(&output::lines(loaded))
            }
            Target::File(None) => output::written(unpack::write(self, &tree, None).await),
            Target::File(path) => unpack::write(self, &tree, path.as_deref()).await,
        }
    }

    /// Reads the manifests of `name`.
    async fn tree(&self, name: &ImageName, registry: &str) -> Result<Tree> {
        match fetch_tree(&self.session, name).await {
            Err(PullError::Image(error)) if is_missing(&error, name) => Err(missing(name, registry)),
            done => Ok(done?),
        }
    }

    /// Says what is saved, and under which names.
    fn saved(&self, tree: &Tree, name: Option<&String>) -> Saved {
        let own = |image| ArchiveName::Image { host: None, image };
        let root = name.cloned().map_or_else(|| own(self.name.clone()), ArchiveName::Text);
        let image = SavedImage { manifest: tree.manifest.clone(), names: vec![root] };
        let mut saved = Saved { images: vec![image], below: children(tree) };
        for AttachedTree { tag, tree } in &tree.referrers {
            let repository = self.name.repository.clone();
            let tag = tag.clone().map(|tag| ImageName { repository, reference: Reference::Tag(tag) });
            let names = tag.map(own).into_iter().collect();
            saved.images.push(SavedImage { manifest: tree.manifest.clone(), names });
            saved.below.extend(children(tree));
        }
        saved
    }
}

/// Tells whether the image itself is not there.
pub(super) fn is_missing(error: &RemoteError, name: &ImageName) -> bool {
    matches!(error, RemoteError::Manifest { name: missed, source } if missed == name && source.is_not_found())
}

/// Says that there is no such image.
pub(super) fn missing(name: &ImageName, registry: &str) -> anyhow::Error {
    let failure = Failure::new(Kind::NotFound, format!("there is no image {name}"));
    failure.hint(format!("reposure image list {registry}")).into()
}

/// Shows the progress of `work` until it ends.
pub(super) async fn shown<T>(work: impl AsyncFnOnce(&Progress) -> T) -> T {
    let (bars, progress) = Bars::start();
    let done = work(&progress).await;
    drop(progress);
    bars.finish().await;
    done
}

/// Returns standard output as a file without a buffer.
fn stdout() -> Result<std::fs::File> {
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
