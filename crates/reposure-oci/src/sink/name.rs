//! The name of an image in an archive.

use crate::name::{ImageName, Reference};

/// The name of an image in an archive or a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveName {
    /// Where it was pulled from, as far as that is to be kept.
    Image {
        /// `host` or `host:port`. Without one, docker and podman take the name for their own default registry's.
        host: Option<String>,
        /// Repository and tag. A digest is no name that an archive can hold.
        image: ImageName,
    },
    /// A text that stands there as it is: any in a layout, a name with a tag in a docker-archive.
    Text(String),
}

impl ArchiveName {
    /// Returns the name as `index.json` has it: the tag, if there is one.
    pub(crate) fn reference(&self) -> Option<&str> {
        match self {
            Self::Image { image: ImageName { reference: Reference::Tag(tag), .. }, .. } => Some(tag.as_str()),
            Self::Image { .. } => None,
            Self::Text(text) => Some(text),
        }
    }

    /// Returns the name as docker's `RepoTags` has it, if there is a tag.
    pub(crate) fn repo_tag(&self) -> Option<String> {
        let reference = self.reference()?;
        let Self::Image { host, image } = self else { return Some(reference.into()) };
        let host = host.as_ref().map(|host| format!("{host}/")).unwrap_or_default();
        Some(format!("{host}{}:{reference}", image.repository))
    }

    /// Returns the name as containerd has it, which is always with a host.
    pub(crate) fn full(&self) -> Option<String> {
        match self {
            Self::Image { host: Some(_), .. } => self.repo_tag(),
            _ => None,
        }
    }
}
