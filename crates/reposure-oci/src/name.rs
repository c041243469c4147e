//! Names of repositories, tags and images, without a host.
//!
//! A name given to Reposure never holds a host: the registry is the one of a `Registry` resource. So `myhost/a/b` is a
//! repository of three parts, where other tools take `myhost` for a host, or the whole for a name of docker.io.
//!
//! See the [distribution specification, "Pulling manifests"](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests).
//!
//! # Examples
//! ```
//! use reposure_oci::ImageName;
//!
//! let name: ImageName = "myrepo/app:v1.2".parse()?;
//! assert_eq!(name.repository.as_str(), "myrepo/app");
//! assert_eq!("myrepo/app".parse::<ImageName>()?.to_string(), "myrepo/app:latest");
//! # Ok::<(), reposure_oci::name::NameError>(())
//! ```

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::{Digest, DigestError};

/// The longest repository name, in bytes; many clients limit host and name together to 255.
const REPOSITORY_NAME_LIMIT: usize = 255;
/// The longest tag, in bytes, as the distribution specification has it.
const TAG_LIMIT: usize = 128;

/// Why a text is no name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// The text is no repository name.
    #[error(
        "{0:?} is no repository name: lower-case letters and digits, separated by '.', '_', '__' or '-', \
         in parts separated by '/', at most {REPOSITORY_NAME_LIMIT} characters"
    )]
    Repository(String),
    /// The text is no tag.
    #[error(
        "{0:?} is no tag: letters, digits, '_', '.' and '-', not starting with '.' or '-', at most {TAG_LIMIT} characters"
    )]
    Tag(String),
    /// What follows `@` is no digest.
    #[error("{text:?} names a digest that is none")]
    Digest {
        /// The whole text.
        text: String,
        /// What is wrong with its digest.
        #[source]
        source: DigestError,
    },
}

/// The name of a repository in a registry: `myrepo/app`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

/// The name of a manifest in a repository: `v1.2.3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

/// A tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// Whatever the tag points at now.
    Tag(Tag),
    /// Just this content.
    Digest(Digest),
}

/// A repository with a tag or a digest: `myrepo/app:v1`, `myrepo/app@sha256:…`; the tag defaults to `latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag or digest in it.
    pub reference: Reference,
}

impl ImageName {
    /// Names what refers to others in a repository: by its tag, else by its digest.
    pub(crate) fn of_referrer(repository: &RepositoryName, tag: Option<Tag>, digest: Digest) -> Self {
        let reference = tag.map_or(Reference::Digest(digest), Reference::Tag);
        Self { repository: repository.clone(), reference }
    }
}

impl RepositoryName {
    /// Returns the name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= REPOSITORY_NAME_LIMIT && text.split('/').all(is_path_component) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Repository(text.into()))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |c: char| !is_alphanumeric(c);
    !text.is_empty()
        && !text.starts_with(is_separator)
        && !text.ends_with(is_separator)
        && text
            .split(is_alphanumeric)
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

impl Tag {
    /// Returns the tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the tag `latest`.
    pub fn latest() -> Self {
        Self("latest".into())
    }

    /// Takes text that is made here and is a tag.
    pub(crate) fn known(text: String) -> Self {
        debug_assert!(text.parse::<Self>().is_ok(), "{text}");
        Self(text)
    }
}

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let mut bytes = text.bytes();
        let valid = text.len() <= TAG_LIMIT
            && bytes.next().is_some_and(is_word)
            && bytes.all(|b| is_word(b) || b == b'.' || b == b'-');
        if valid { Ok(Self(text.into())) } else { Err(NameError::Tag(text.into())) }
    }
}

impl FromStr for Reference {
    type Err = NameError;

    /// Parses a digest where there is a colon, which no tag holds, else a tag.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(':') {
            let digest = text.parse().map_err(|source| NameError::Digest { text: text.into(), source })?;
            Ok(Self::Digest(digest))
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse()?)),
            None => (name, None),
        };
        let reference = match digest {
            // `name:tag@digest` means the digest, as it does to docker and the kubelet.
            Some(digest) => Reference::Digest(
                digest.parse().map_err(|source| NameError::Digest { text: text.into(), source })?,
            ),
            None => Reference::Tag(tag.unwrap_or_else(Tag::latest)),
        };
        Ok(Self { repository: repository.parse()?, reference })
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(formatter),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Reference::Tag(tag) => write!(formatter, "{}:{tag}", self.repository),
            Reference::Digest(digest) => write!(formatter, "{}@{digest}", self.repository),
        }
    }
}

macro_rules! serialize_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

serialize_as_text!(RepositoryName, Tag, Reference, ImageName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_have_no_host() {
        let name: ImageName = "myhost/a/b".parse().unwrap();
        assert_eq!(
            (name.repository.as_str(), name.to_string().as_str()),
            ("myhost/a/b", "myhost/a/b:latest")
        );
        assert_eq!("hello".parse::<ImageName>().unwrap().to_string(), "hello:latest");
    }

    #[test]
    fn tags_keep_their_dots() {
        assert_eq!("a/b:v1.2.3".parse::<ImageName>().unwrap().to_string(), "a/b:v1.2.3");
    }

    #[test]
    fn a_digest_wins_over_a_tag() {
        let digest = Digest::sha256_of("x");
        assert_eq!(format!("a:v1@{digest}").parse::<ImageName>().unwrap().to_string(), format!("a@{digest}"));
    }

    #[test]
    fn refuses_what_is_no_repository_name() {
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a..b",
            "a.-b",
            "-a",
            "a___b",
            "a b",
            "..",
            "a/../b",
            &"a".repeat(256),
        ] {
            assert!(text.parse::<RepositoryName>().is_err(), "{text:?}");
        }
        for text in ["a", "a.b", "a_b", "a__b", "a---b", "a/b/c/d", "0"] {
            assert!(text.parse::<RepositoryName>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_tag() {
        for text in ["", ".a", "-a", "a:b", "a/b", &"a".repeat(129)] {
            assert!(text.parse::<Tag>().is_err(), "{text:?}");
        }
    }

    /// The specification's own expressions.
    const REPOSITORY: &str = "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}){0,3}";
    const TAG: &str = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}";

    proptest! {
        #[test]
        fn names_of_the_specification_are_names(repository in REPOSITORY, tag in TAG, content in any::<u64>()) {
            let digest = Digest::sha256_of(content.to_be_bytes());
            prop_assert_eq!(repository.parse::<RepositoryName>().unwrap().to_string(), repository.clone());
            prop_assert_eq!(tag.parse::<Reference>().unwrap(), Reference::Tag(Tag(tag.clone())));
            for text in [format!("{repository}:{tag}"), format!("{repository}@{digest}")] {
                let name: ImageName = text.parse().unwrap();
                prop_assert_eq!(name.repository.as_str(), &repository);
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn what_is_a_name_is_written_as_it_is_read(text in "[a-cA-C0-2:@/._ -]{0,20}|.{0,20}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert!(!name.as_str().split('/').any(|part| matches!(part, "" | "." | "..")));
                prop_assert_eq!(name.as_str(), &text);
            }
            if let Ok(tag) = text.parse::<Tag>() {
                prop_assert_eq!(tag.as_str(), &text);
            }
            if let Ok(name) = text.parse::<ImageName>() {
                prop_assert_eq!(name.to_string().parse::<ImageName>().unwrap(), name);
            }
        }
    }
}
