//! The name of an image in an archive.

use crate::{
    archive::{normalize, tag},
    name::{ImageName, Reference},
};

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

    /// Returns the name as containerd and podman want it, if there is a repository: with what docker leaves out of it. Without, they
    /// make up a name of their own.
    pub(crate) fn full(&self) -> Option<String> {
        let name = self.repo_tag()?;
        tag(&name).is_some().then(|| normalize(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(host: Option<&str>, image: &str) -> Option<String> {
        ArchiveName::Image { host: host.map(Into::into), image: image.parse().unwrap() }.full()
    }

    #[test]
    fn names_are_written_out_as_containerd_and_podman_want_them() {
        assert_eq!(full(Some("10.0.0.1:5000"), "a/b:v1").as_deref(), Some("10.0.0.1:5000/a/b:v1"));
        assert_eq!(full(None, "a/b:v1").as_deref(), Some("docker.io/a/b:v1"));
        assert_eq!(full(None, "b:v1").as_deref(), Some("docker.io/library/b:v1"));
        assert_eq!(full(None, &format!("b@sha256:{}", "0".repeat(64))), None);
        let text = |text: &str| ArchiveName::Text(text.into()).full();
        assert_eq!(text("localhost/b:v1").as_deref(), Some("localhost/b:v1"));
        assert_eq!(text("v1"), None, "a tag alone is no name for them");
        assert_eq!(text("10.0.0.1:5000/b"), None);
    }
}
