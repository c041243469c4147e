//! What TARGET asks for.

use std::path::{Path, PathBuf};

use anyhow::Result;
use reposure_oci::{
    Place, Reference,
    daemon::Daemon,
    place::{Choice, ImagePath, LocalName, RemoteName},
    sink::ArchiveForm,
};

use super::{PullArgs, remote};
use crate::{
    daemon,
    exit::{Failure, Kind},
    other_registry::Side,
    output,
};

/// What a path ends in whose archive would have to be compressed.
const COMPRESSED: [&str; 10] =
    [".gz", ".tgz", ".zst", ".tzst", ".xz", ".txz", ".bz2", ".tbz", ".tbz2", ".zstd"];

/// Where an image goes.
pub(super) enum Target {
    /// An archive, in a file or to standard output.
    Archive { form: ArchiveForm, path: Option<PathBuf>, name: Option<String> },
    /// An OCI layout in a folder.
    Layout { path: PathBuf, name: Option<String> },
    /// Another registry.
    Registry(RemoteName),
    /// Docker or podman on this machine.
    Daemon { daemon: Daemon, name: String },
    /// The file in the first layer, to a file or to standard output.
    File(Option<PathBuf>),
}

impl Target {
    /// Takes TARGET with the options that change what it means.
    pub(super) fn of(args: &PullArgs) -> Result<Self> {
        let place = args.target.clone().unwrap_or(Place::Standard);
        remote::reach(args).check(Side::Target, &place)?;
        let target = if args.unpack { Self::unpacked(place)? } else { Self::packed(place)? };
        if let Self::Archive { path: Some(path), .. } | Self::File(Some(path)) = &target {
            is_no_folder(path, matches!(target, Self::Archive { form: ArchiveForm::Universal, .. }))?;
        }
        if args.referrers && !target.has_referrers() {
            return Err(usage("--referrers is for what holds more than an image of docker's"));
        }
        if args.fsync && !target.is_on_disk() {
            return Err(usage("--fsync is for what is written to this machine's disk"));
        }
        if matches!(target, Self::Archive { path: None, .. }) && output::is_terminal() {
            return Err(Failure::new(Kind::Usage, "an archive is nothing for a terminal")
                .hint("name a TARGET, or redirect standard output")
                .into());
        }
        Ok(target)
    }

    fn unpacked(place: Place) -> Result<Self> {
        match place {
            Place::Path(path) | Place::File(path) => Ok(Self::File(Some(path))),
            Place::Standard => Ok(Self::File(None)),
            place => Err(usage(format!("--unpack gives a file, which {place} cannot hold"))),
        }
    }

    fn packed(place: Place) -> Result<Self> {
        let form = |form, place: ImagePath| {
            uncompressed(&place.path)?;
            anyhow::Ok((form, Some(place.path), name(place.image)?))
        };
        let (form, path, name) = match place {
            Place::Path(path) => {
                uncompressed(&path)?;
                (ArchiveForm::Universal, Some(path), None)
            }
            Place::Standard => (ArchiveForm::Universal, None, None),
            Place::OciArchive(place) => form(ArchiveForm::Oci, place)?,
            Place::DockerArchive(place) => {
                let (form, path, name) = form(ArchiveForm::Docker, place)?;
                (form, path, name.as_deref().map(docker_name).transpose()?)
            }
            Place::Layout(place) => {
                return Ok(Self::Layout { path: place.path, name: name(place.image)? });
            }
            Place::File(path) => return Ok(Self::File(Some(path))),
            Place::Registry(name) => return Ok(Self::Registry(name)),
            Place::DockerDaemon(name) => {
                let name = docker_name(own(&name)?)?;
                return Ok(Self::Daemon { daemon: daemon::docker()?, name });
            }
            Place::Podman(name) => {
                let name = podman_name(own(&name)?)?;
                return Ok(Self::Daemon { daemon: daemon::podman()?, name });
            }
            place => return Err(usage(format!("{place} cannot be pulled to"))),
        };
        Ok(Self::Archive { form, path, name })
    }

    /// Tells whether what refers to an image has a place there.
    const fn has_referrers(&self) -> bool {
        !matches!(self, Self::Archive { form: ArchiveForm::Docker, .. } | Self::Daemon { .. } | Self::File(_))
    }

    const fn is_on_disk(&self) -> bool {
        matches!(self, Self::Archive { path: Some(_), .. } | Self::Layout { .. } | Self::File(Some(_)))
    }
}

fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::new(Kind::Usage, message).into()
}

/// Returns the name that an image is to get.
fn name(choice: Option<Choice>) -> Result<Option<String>> {
    match choice {
        None => Ok(None),
        Some(Choice::Name(name)) => Ok(Some(name)),
        Some(choice @ Choice::Position(_)) => {
            Err(usage(format!("{choice} chooses an image of a source: a target takes a name")))
        }
    }
}

/// Writes a name out in full, as readers of docker-archives want it: `docker.io/library/app:latest`.
fn docker_name(name: &str) -> Result<String> {
    let parsed = name.parse::<RemoteName>().map_err(|error| {
        anyhow::Error::from(Failure::because(format!("{name:?} is no name for an image of docker's"), error))
    })?;
    match parsed.image().reference {
        Reference::Tag(_) => Ok(parsed.to_string()),
        Reference::Digest(_) => Err(usage(format!("{name}: docker-archives hold tags only"))),
    }
}

/// Refuses an image's ID, which is nothing that one can give.
fn own(name: &LocalName) -> Result<&str> {
    if name.is_id() {
        return Err(usage(format!(
            "{name} is an image's ID, which comes of what is in it: write NAME[:TAG]"
        )));
    }
    Ok(name.as_str())
}

/// Adds a tag where there is none. What else is left out is podman's business.
fn podman_name(name: &str) -> Result<String> {
    if name.contains('@') {
        return Err(usage(format!("{name}: an image is given a tag, and has its digest")));
    }
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    Ok(if has_tag { name.into() } else { format!("{name}:latest") })
}

/// Refuses a name that promises what is not written: the layers are compressed already.
fn uncompressed(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if COMPRESSED.iter().all(|ending| !name.ends_with(ending)) {
        return Ok(());
    }
    let message = format!("{} would not be compressed: archives are written as they are", path.display());
    Err(Failure::new(Kind::Usage, message)
        .hint("a name that ends in .tar; the layers in it are compressed, so that there is little to gain")
        .into())
}

/// Refuses a path that is a folder's, and says what to write for one that can be.
fn is_no_folder(path: &Path, may_be_layout: bool) -> Result<()> {
    let ends_as_folder = path.as_os_str().as_encoded_bytes().last().copied().map(char::from);
    if !ends_as_folder.is_some_and(std::path::is_separator) && !path.is_dir() {
        return Ok(());
    }
    let path = path.display();
    let failure = Failure::new(Kind::Usage, format!("{path} is a folder, and not a file to write"));
    Err(if may_be_layout { failure.hint(format!("oci:{path} for an OCI layout in it")) } else { failure }
        .into())
}
