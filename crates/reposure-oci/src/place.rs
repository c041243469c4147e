//! What users write for a source or a target: [`Place`].
//!
//! | text | means |
//! |---|---|
//! | `PATH` | a file or folder, whose form is found out; a new file as a target |
//! | `docker-archive:PATH[:REF]`, `docker-archive:PATH:@N` | an archive as `docker save` writes it, and the image of it by its name, or the Nth from 0 |
//! | `oci-archive:PATH[:REF]` | an OCI layout in a tar |
//! | `oci:PATH[:REF]` | an OCI layout in a folder |
//! | `file:PATH` | a file as an image of one layer, even if it is an archive |
//! | `docker-daemon:REF` | an image of the docker daemon on this machine: `app:v1`, or its ID |
//! | `podman:REF` | the same of podman |
//! | `registry:HOST[:PORT]/NAME[:TAG]`, `…@DIGEST`, also `docker://…` | an image of a registry that this machine reaches |
//! | `-` | standard input or output |
//!
//! The prefixes mean what they mean to [skopeo](https://github.com/containers/container-libs/blob/main/image/docs/containers-transports.5.md)
//! where it has them; `docker://` is the only one with slashes.
//!
//! # Paths that hold a colon
//! A path that begins with none of the prefixes may hold colons anywhere; one that begins like a prefix is written with its
//! folder: `./oci:x`. So is a file that is called `-`. After `docker-archive:`, `oci-archive:` and `oci:` the path ends at
//! its first colon, as with skopeo, while all that follows `file:` is a path. So an archive whose path holds a colon is
//! named without a prefix, and its image by an option.

mod choice;
mod error;
mod local;
mod remote;

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

pub use choice::Choice;
pub use error::PlaceError;
pub use local::LocalName;
pub use remote::RemoteName;

const DOCKER_ARCHIVE: &str = "docker-archive:";
const OCI_ARCHIVE: &str = "oci-archive:";
const LAYOUT: &str = "oci:";
const FILE: &str = "file:";
const DOCKER_DAEMON: &str = "docker-daemon:";
const PODMAN: &str = "podman:";
const REGISTRY: &str = "registry:";
/// How skopeo writes [`REGISTRY`].
const DOCKER: &str = "docker://";
const STANDARD: &str = "-";

/// Where images come from or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// `PATH`: whatever it is.
    Path(PathBuf),
    /// `docker-archive:PATH[:REF]`
    DockerArchive(ImagePath),
    /// `oci-archive:PATH[:REF]`
    OciArchive(ImagePath),
    /// `oci:PATH[:REF]`: an OCI layout in a folder.
    Layout(ImagePath),
    /// `file:PATH`: a file as an image of one layer.
    File(PathBuf),
    /// `docker-daemon:REF`
    DockerDaemon(LocalName),
    /// `podman:REF`
    Podman(LocalName),
    /// `registry:HOST[:PORT]/NAME[:TAG]`
    Registry(RemoteName),
    /// `-`: standard input as a source, standard output as a target.
    Standard,
}

/// A path of something that holds images, and the one of them that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePath {
    /// The file or folder.
    pub path: PathBuf,
    /// The image; `None` for the only one.
    pub image: Option<Choice>,
}

impl Place {
    /// Takes an argument of a command line, which may be a path that is no UTF-8.
    ///
    /// # Errors
    /// As [`Place::from_str`].
    pub fn from_argument(argument: &OsStr) -> Result<Self, PlaceError> {
        argument.to_str().map_or_else(|| Ok(Self::Path(argument.into())), str::parse)
    }

    /// Returns the path of what is on disk.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) | Self::File(path) => Some(path),
            Self::DockerArchive(place) | Self::OciArchive(place) | Self::Layout(place) => Some(&place.path),
            Self::DockerDaemon(_) | Self::Podman(_) | Self::Registry(_) | Self::Standard => None,
        }
    }

    /// Returns the image that the text chooses among those of an archive or layout.
    pub fn image(&self) -> Option<&Choice> {
        match self {
            Self::DockerArchive(place) | Self::OciArchive(place) | Self::Layout(place) => {
                place.image.as_ref()
            }
            _ => None,
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    /// Parses what the [module](self) lists.
    ///
    /// # Errors
    /// When nothing follows a prefix, or what follows is none of the form that it asks for.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        type Parse = fn(&str) -> Result<Place, PlaceError>;
        const PREFIXES: [(&str, Parse); 8] = [
            (DOCKER_ARCHIVE, |rest| rest.parse().map(Place::DockerArchive)),
            (OCI_ARCHIVE, |rest| rest.parse().map(Place::OciArchive)),
            (LAYOUT, |rest| rest.parse().map(Place::Layout)),
            (FILE, |rest| parse_path(rest).map(Place::File)),
            (DOCKER_DAEMON, |rest| rest.parse().map(Place::DockerDaemon)),
            (PODMAN, |rest| rest.parse().map(Place::Podman)),
            (REGISTRY, |rest| rest.parse().map(Place::Registry)),
            (DOCKER, |rest| rest.parse().map(Place::Registry)),
        ];
        if text == STANDARD {
            return Ok(Self::Standard);
        }
        let found = PREFIXES.iter().find_map(|(prefix, parse)| Some((text.strip_prefix(prefix)?, parse)));
        match found {
            Some((rest, parse)) => parse(rest),
            None => parse_path(text).map(Self::Path),
        }
    }
}

fn parse_path(text: &str) -> Result<PathBuf, PlaceError> {
    if text.is_empty() { Err(PlaceError::NoPath) } else { Ok(text.into()) }
}

impl FromStr for ImagePath {
    type Err = PlaceError;

    /// Parses `PATH`, `PATH:REF` and `PATH:@N`; the path ends at the first colon.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, image) = match text.split_once(':') {
            Some((path, image)) => (path, Some(image.parse()?)),
            None => (text, None),
        };
        Ok(Self { path: parse_path(path)?, image })
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(formatter)?;
        self.image.iter().try_for_each(|image| write!(formatter, ":{image}"))
    }
}

impl fmt::Display for Place {
    /// Writes what was parsed, with `registry:` for `docker://` and a registry's name in full.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(formatter),
            Self::DockerArchive(place) => write!(formatter, "{DOCKER_ARCHIVE}{place}"),
            Self::OciArchive(place) => write!(formatter, "{OCI_ARCHIVE}{place}"),
            Self::Layout(place) => write!(formatter, "{LAYOUT}{place}"),
            Self::File(path) => write!(formatter, "{FILE}{}", path.display()),
            Self::DockerDaemon(name) => write!(formatter, "{DOCKER_DAEMON}{name}"),
            Self::Podman(name) => write!(formatter, "{PODMAN}{name}"),
            Self::Registry(name) => write!(formatter, "{REGISTRY}{name}"),
            Self::Standard => formatter.write_str(STANDARD),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    fn image_path(path: &str, image: Option<Choice>) -> ImagePath {
        ImagePath { path: path.into(), image }
    }

    #[test]
    fn what_has_no_prefix_is_a_path() {
        for path in ["app.tar", "./a:b", "a:b", "C:\\app.tar", "/oci:x", "./oci:x", "./-", "docker:x"] {
            assert_eq!(place(path), Place::Path(path.into()));
        }
        assert_eq!("".parse::<Place>(), Err(PlaceError::NoPath));
    }

    #[test]
    fn the_path_of_an_archive_ends_at_its_first_colon() {
        let name = || Some(Choice::Name("docker.io/library/app:v1".into()));
        let named = image_path("/tmp/app.tar", name());
        assert_eq!(
            place("docker-archive:/tmp/app.tar:docker.io/library/app:v1"),
            Place::DockerArchive(named)
        );
        assert_eq!(place("oci-archive:app.tar"), Place::OciArchive(image_path("app.tar", None)));
        assert_eq!(place("oci:app:@3"), Place::Layout(image_path("app", Some(Choice::Position(3)))));
        assert_eq!(place("file:a:b"), Place::File("a:b".into()));
    }

    #[test]
    fn refuses_what_is_incomplete() {
        for text in ["oci:", "file:", "oci-archive::x"] {
            assert_eq!(text.parse::<Place>(), Err(PlaceError::NoPath), "{text}");
        }
        for text in ["oci:x:", "docker-archive:x:@", "docker-archive:x:@-1", "oci:x:@one"] {
            assert!(matches!(text.parse::<Place>(), Err(PlaceError::Choice(_))), "{text}");
        }
        for text in ["docker-daemon:", "podman:A B", "registry:", "docker://", "registry:localhost:5000"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn skopeo_writes_registries_with_slashes() {
        assert_eq!(place("docker://localhost:5000/app").to_string(), "registry:localhost:5000/app:latest");
        assert_eq!(place("registry:app:v1").to_string(), "registry:docker.io/library/app:v1");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = OsStr::from_bytes(b"oci:\xff");
        assert_eq!(Place::from_argument(path), Ok(Place::Path(path.into())));
        assert_eq!(Place::from_argument(OsStr::new("-")), Ok(Place::Standard));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_parsed_again(
            prefix in "(docker-archive:|oci-archive:|oci:|file:|docker-daemon:|podman:|registry:|docker://|-|)",
            rest in "([a-z0-9.@:/_-]{0,20}|\\PC{0,20})",
        ) {
            if let Ok(place) = format!("{prefix}{rest}").parse::<Place>() {
                prop_assert_eq!(place.to_string().parse(), Ok(place));
            }
        }
    }
}
