//! The name of an image in an archive.

use crate::name::{ImageName, Reference};

/// The name of an image in an archive: where it was pulled from, as far as that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveName {
    /// `host` or `host:port`. Without one, docker and podman take the name for their own default registry's.
    pub host: Option<String>,
    /// Repository and tag. A digest is no name that an archive can hold.
    pub image: ImageName,
}

impl ArchiveName {
    /// Returns the tag, if there is one.
    pub(crate) fn tag(&self) -> Option<&str> {
        match &self.image.reference {
            Reference::Tag(tag) => Some(tag.as_str()),
            Reference::Digest(_) => None,
        }
    }

    /// Returns the name as docker's `RepoTags` has it, if there is a tag.
    pub(crate) fn repo_tag(&self) -> Option<String> {
        let tag = self.tag()?;
        let host = self.host.as_ref().map(|host| format!("{host}/")).unwrap_or_default();
        Some(format!("{host}{}:{tag}", self.image.repository))
    }

    /// Returns the name as containerd has it, which is always with a host.
    pub(crate) fn full(&self) -> Option<String> {
        self.host.as_ref().and_then(|_| self.repo_tag())
    }
}
