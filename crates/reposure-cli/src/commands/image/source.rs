//! Opening what SOURCE names.

mod remote;

use std::{
    io::{ErrorKind, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use reposure_oci::{
    Archive, Artifact, Place, Platform, Spool,
    archive::{self, Attached, Entry, Form, OpenError, Options, SelectError},
};

use crate::{
    daemon,
    exit::{self, Failure, Kind},
    other_registry::Side,
    place,
};

/// What compressed layers and unpacked archives may take on disk together, in bytes: more than any image should have.
const SPOOL_LIMIT: u64 = 256 << 30;
/// What a path is none of, if it is not there and has a colon.
const PREFIXES: &str = "SOURCE begins with docker-archive:, oci-archive:, oci:, file:, docker-daemon:, podman: or registry:, or is a path";

/// Returns how sources are read where nothing else is said.
pub(super) fn options() -> Options {
    let folder = std::env::temp_dir();
    let limit = spool_limit(&folder);
    Options::new(Spool::new(folder, limit))
}

/// Returns what may be put into a folder for temporary files, in bytes: a tenth of what is free is left to others, since the folder
/// is often in memory.
pub(super) fn spool_limit(folder: &Path) -> u64 {
    let Ok(system) = rustix::fs::statvfs(folder) else { return SPOOL_LIMIT };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    SPOOL_LIMIT.min(free - free / 10)
}

/// What is said of a source beside SOURCE.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// Which image of an archive that holds several: its name there, or @N for the Nth from 0
    #[arg(long, value_name = "NAME")]
    pub(super) source_tag: Option<String>,
    /// Push the one image of this platform out of an index, instead of the whole: OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT
    ///
    /// An image that is no index must be of it. A file becomes an image of it.
    #[arg(long, value_name = "PLATFORM")]
    pub(super) platform: Option<Platform>,
    /// Reach the registry of SOURCE by plain HTTP
    #[arg(long)]
    pub(super) source_plain_http: bool,
    /// Trust the certificates in this PEM file, and no others, for the registry of SOURCE
    #[arg(long, value_name = "FILE", conflicts_with = "source_plain_http")]
    pub(super) source_ca: Option<PathBuf>,
}

/// A source that is open.
pub(super) struct Source {
    place: Place,
    platform: Option<Platform>,
    archive: Archive,
    /// What refers to the one image of a registry.
    attached: Vec<Attached>,
}

impl Source {
    /// Opens a source, read by `options` beside what is said of it, with what refers to its images, if that is wanted.
    pub(super) async fn open(
        place: Place,
        options: Options,
        args: &SourceArgs,
        referrers: bool,
    ) -> Result<Self> {
        remote::reach(args).check(Side::Source, &place)?;
        let options = of_platform(options, args.platform.as_ref());
        let mut attached = Vec::new();
        let archive = match &place {
            Place::Path(path) => {
                let opened = archive::open(path, of_form(options, Form::Detect)).await;
                opened.map_err(|error| unopened(&place, error))?
            }
            Place::DockerArchive(at) => archive::open(&at.path, of_form(options, Form::Docker)).await?,
            Place::OciArchive(at) | Place::Layout(at) => {
                archive::open(&at.path, of_form(options, Form::Oci)).await?
            }
            Place::File(path) => archive::open(path, of_form(options, Form::File)).await?,
            Place::Standard => standard_input(of_form(options, Form::Images)).await?,
            Place::DockerDaemon(name) => {
                daemon::docker()?.image(name, of_form(options, Form::Images)).await?
            }
            Place::Podman(name) => daemon::podman()?.image(name, of_form(options, Form::Images)).await?,
            Place::Registry(name) => {
                let (archive, referrers) = remote::open(name, args, referrers).await?;
                attached = referrers;
                archive
            }
            place => return Err(Failure::new(Kind::Usage, format!("{place} is no source")).into()),
        };
        Ok(Self { place, platform: args.platform.clone(), archive, attached })
    }

    /// Chooses the image that the source's own text names, or the option `--source-tag`, or the only one.
    pub(super) fn select(&self, tag: Option<&str>) -> Result<&Entry> {
        let own = self.place.image().map(ToString::to_string);
        if let (Some(own), Some(tag)) = (&own, tag) {
            let message = format!("{} names image {own}, and --source-tag {tag}", self.describe());
            return Err(Failure::new(Kind::Usage, message).hint("leave one of them out").into());
        }
        let chosen = self.archive.select(own.as_deref().or(tag));
        chosen.map_err(|error| self.unchosen(error).into())
    }

    /// Returns all images, where the source's own text names none.
    pub(super) fn all(&self) -> Result<&[Entry]> {
        if self.place.image().is_some() || matches!(self.place, Place::Registry(_)) {
            let message = format!("{} names one image, and --all means all of them", self.describe());
            return Err(Failure::new(Kind::Usage, message).hint("leave one of them out").into());
        }
        Ok(&self.archive.entries)
    }

    /// Returns what is to be pushed of an entry: all of it, or the image of the platform that was asked for.
    pub(super) async fn artifact(&self, entry: &Entry) -> Result<Artifact> {
        for digest in &entry.omitted {
            exit::warn(&format!(
                "{} does not hold {digest}, which its index names: it is left out",
                self.describe()
            ));
        }
        let Some(platform) = &self.platform else { return Ok(entry.artifact.clone()) };
        let chosen = entry.artifact.of_platform(platform).await;
        let message = || format!("cannot choose an image of {}", self.describe());
        chosen.map_err(|error| Failure::because(message(), error).into())
    }

    fn unchosen(&self, error: SelectError) -> Failure {
        let failure = Failure::because(format!("cannot choose an image of {}", self.describe()), error);
        failure.hint("--source-tag NAME, or --source-tag @0 for the first")
    }

    /// Refuses to look for what refers to an image that has no manifest in the source, as those of a docker-archive.
    pub(super) fn check_referrers_of(&self, artifact: &Artifact) -> Result<(), Failure> {
        if artifact.ready_manifest().is_some() { Ok(()) } else { Err(no_referrers(&self.describe())) }
    }

    /// Returns what refers to the image in the source.
    pub(super) fn referrers(&self, artifact: &Artifact) -> Vec<Attached> {
        if matches!(self.place, Place::Registry(_)) {
            return self.attached.clone();
        }
        self.archive.referrers(artifact)
    }

    /// Returns what the source is called in messages.
    pub(super) fn describe(&self) -> String {
        place::describe(&self.place)
    }
}

/// Refuses to look for referrers where there never are any.
pub(super) fn check_referrers(place: &Place) -> Result<(), Failure> {
    match place {
        // What these hold is seen when they are open.
        Place::Path(_) | Place::OciArchive(_) | Place::Layout(_) | Place::Standard | Place::Registry(_) => {
            Ok(())
        }
        _ => Err(no_referrers(&place::describe(place))),
    }
}

fn no_referrers(source: &str) -> Failure {
    let message =
        format!("--referrers is for a registry, an OCI layout or an OCI archive, and {source} is none");
    Failure::new(Kind::Usage, message).hint("oci:PATH is a folder with an image and what refers to it")
}

fn of_form(options: Options, form: Form) -> Options {
    Options { form, ..options }
}

fn of_platform(options: Options, platform: Option<&Platform>) -> Options {
    match platform {
        Some(platform) => Options { platform: platform.clone(), only: Some(platform.clone()), ..options },
        None => options,
    }
}

async fn standard_input(options: Options) -> Result<Archive> {
    if std::io::stdin().is_terminal() {
        let failure = Failure::new(Kind::Usage, "standard input is a terminal, and no archive");
        return Err(failure.hint("docker save IMAGE | reposure image push REGISTRY IMAGE -").into());
    }
    Ok(archive::receive(std::io::stdin(), place::describe(&Place::Standard), options).await?)
}

fn unopened(place: &Place, error: OpenError) -> anyhow::Error {
    let text = place.to_string();
    match &error {
        OpenError::Read { source, .. } if source.kind() == ErrorKind::NotFound && text.contains(':') => {
            Failure::new(Kind::NotFound, format!("there is no file {text}")).hint(PREFIXES).into()
        }
        _ => error.into(),
    }
}
