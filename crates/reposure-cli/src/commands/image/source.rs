//! Opening what SOURCE names.

use std::io::{ErrorKind, IsTerminal as _};

use anyhow::Result;
use reposure_oci::{
    Archive, Artifact, Place, Spool,
    archive::{self, Attached, Entry, Form, OpenError, Options, SelectError},
};

use crate::{
    daemon,
    exit::{Failure, Kind},
    place,
};

/// What compressed layers and unpacked archives may take on disk together, in bytes: more than any image should have.
const SPOOL_LIMIT: u64 = 256 << 30;
/// What a path is none of, if it is not there and has a colon.
const PREFIXES: &str = "SOURCE begins with docker-archive:, oci-archive:, oci:, file:, docker-daemon:, podman: or registry:, or is a path";

/// Returns how sources are read where nothing else is said.
pub(super) fn options() -> Options {
    Options::new(Spool::new(std::env::temp_dir(), SPOOL_LIMIT))
}

/// A source that is open.
pub(super) struct Source {
    place: Place,
    archive: Archive,
}

impl Source {
    /// Opens a source.
    pub(super) async fn open(place: Place, options: Options) -> Result<Self> {
        let archive = match &place {
            Place::Path(path) => {
                archive::open(path, options).await.map_err(|error| unopened(&place, error))?
            }
            Place::DockerArchive(at) => archive::open(&at.path, of_form(options, Form::Docker)).await?,
            Place::OciArchive(at) | Place::Layout(at) => {
                archive::open(&at.path, of_form(options, Form::Oci)).await?
            }
            Place::File(path) => archive::open(path, of_form(options, Form::File)).await?,
            Place::Standard => standard_input(options).await?,
            Place::DockerDaemon(name) => daemon::docker()?.image(name, options).await?,
            Place::Podman(name) => daemon::podman()?.image(name, options).await?,
            place => {
                let message = format!("{place} cannot be pushed yet");
                return Err(Failure::new(Kind::Usage, message).hint("save it to an archive first").into());
            }
        };
        Ok(Self { place, archive })
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

    fn unchosen(&self, error: SelectError) -> Failure {
        let failure = Failure::because(format!("cannot choose an image of {}", self.describe()), error);
        failure.hint("--source-tag NAME, or --source-tag @0 for the first")
    }

    /// Returns what refers to the image in the source.
    pub(super) fn referrers(&self, artifact: &Artifact) -> Vec<Attached> {
        self.archive.referrers(artifact)
    }

    /// Returns what the source is called in messages.
    pub(super) fn describe(&self) -> String {
        place::describe(&self.place)
    }
}

fn of_form(options: Options, form: Form) -> Options {
    Options { form, ..options }
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
