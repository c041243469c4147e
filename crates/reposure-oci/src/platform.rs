//! Platforms as users write them, and choosing by them.
//!
//! See the [image specification, "Image Index"](https://github.com/opencontainers/image-spec/blob/main/image-index.md#image-index-property-descriptions).

use std::{fmt, str::FromStr};

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::Deserialize;

use crate::{
    blob::BlobError,
    image::{Artifact, Image, SourceError},
    manifest::{Manifest, ManifestError, Platform},
};

/// The largest configuration, in bytes, as containerd has it.
const CONFIG_LIMIT: u64 = 8 << 20;

/// A text is no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no platform: write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/arm64")]
pub struct ParsePlatformError(String);

/// Why there is no image of a platform.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// An index has none.
    #[error("there is no image of {wanted}, but of: {}", .known.join(", "))]
    None {
        /// The platform.
        wanted: Platform,
        /// The platforms that there are, as far as the index tells.
        known: Vec<String>,
    },
    /// The image is of another platform.
    #[error("the image is of {actual}, and not of {wanted}")]
    Other {
        /// The platform that was asked for.
        wanted: Platform,
        /// What its configuration says.
        actual: Platform,
    },
    /// The image says of no platform that it is for that.
    #[error("the image names no platform, so that it cannot be told whether it is of {0}")]
    Unknown(Platform),
    /// The image has no configuration, or one that cannot be read.
    #[error("the image's configuration cannot be had")]
    Config(#[source] SourceError),
    /// The configuration cannot be read.
    #[error("the image's configuration cannot be read")]
    Read(#[source] BlobError),
    /// The configuration is too large.
    #[error("the image's configuration has {0} bytes, over the limit of {CONFIG_LIMIT}")]
    TooLarge(u64),
    /// An index is malformed.
    #[error("the index cannot be used")]
    Index(#[source] ManifestError),
}

/// What a configuration says of its platform.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    /// Parses `OS/ARCHITECTURE[/VARIANT]`. Architectures are those of Go; `x86_64`, `aarch64` and the like are taken for them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').filter(is_word).map(|part| part as &str).collect();
        let count = text.split('/').count();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] if count == 2 => (os, architecture, None),
            [os, architecture, variant] if count == 3 => (os, architecture, Some(variant)),
            _ => return Err(ParsePlatformError(text.into())),
        };
        let platform = Self {
            os: os.to_ascii_lowercase(),
            architecture: architecture.to_ascii_lowercase(),
            variant: variant.map(|variant| variant.to_ascii_lowercase()),
        };
        Ok(platform.with_name_of_go())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(formatter, "/{variant}"))
    }
}

impl Platform {
    fn with_name_of_go(mut self) -> Self {
        let (architecture, variant) = match self.architecture.as_str() {
            "x86_64" | "x86-64" => ("amd64", None),
            "i386" | "i686" => ("386", None),
            "aarch64" => ("arm64", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            _ => return self,
        };
        self.architecture = architecture.into();
        self.variant = self.variant.or(variant.map(Into::into));
        self
    }

    /// Returns the variant, where one that is left out is the one that everybody means.
    fn full_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref().filter(|variant| !variant.is_empty())) {
            ("arm64", Some("v8") | None) | ("amd64", Some("v1") | None) => None,
            ("arm", None) => Some("v7"),
            (_, variant) => variant,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.is_like(other) && self.full_variant() == other.full_variant()
    }

    /// Tells whether two platforms differ by no more than the variant.
    fn is_like(&self, other: &Self) -> bool {
        self.os == other.os && self.architecture == other.architecture
    }

    /// Tells whether an image of `self` is what is meant by `wanted`, which may leave out the variant.
    fn serves(&self, wanted: &Self) -> bool {
        self.is_same(wanted) || wanted.variant.is_none() && self.is_like(wanted)
    }
}

/// Chooses the item of a platform: the first of just this one, else the first that differs by a variant that is not asked for.
pub(crate) fn choose<T>(wanted: &Platform, items: impl IntoIterator<Item = (Platform, T)>) -> Option<T> {
    let mut near = None;
    for (platform, item) in items {
        if platform.is_same(wanted) {
            return Some(item);
        }
        if near.is_none() && platform.serves(wanted) {
            near = Some(item);
        }
    }
    near
}

impl Artifact {
    /// Returns the one image of a platform: of an index the one that the index says is of it, or else an image itself, whose
    /// configuration must say so.
    ///
    /// # Errors
    /// When there is none, or it cannot be told.
    ///
    /// # Cancel safety
    /// A call that is dropped has no effect.
    pub async fn of_platform(&self, wanted: &Platform) -> Result<Self, PlatformError> {
        match self {
            Self::Image(image) => check(image.as_ref(), wanted).await.map(|()| self.clone()),
            Self::Index(_) => {
                let mut images = Vec::new();
                collect(self, None, &mut images).await?;
                let known = images.iter().map(|(platform, _)| platform.to_string()).collect();
                choose(wanted, images).ok_or_else(|| PlatformError::None { wanted: wanted.clone(), known })
            }
        }
    }
}

/// Collects the images below an artifact, with what their index says of them, or else they themselves. The depth is bounded where
/// an index is read.
fn collect<'a>(
    artifact: &'a Artifact,
    said: Option<Platform>,
    images: &'a mut Vec<(Platform, Artifact)>,
) -> BoxFuture<'a, Result<(), PlatformError>> {
    Box::pin(async move {
        match artifact {
            Artifact::Image(image) => {
                let platform = match said {
                    Some(said) => Some(said),
                    None => of_config(image.as_ref()).await?,
                };
                images.extend(platform.map(|platform| (platform, artifact.clone())));
            }
            Artifact::Index(index) => {
                let Manifest::Index(manifest) = index.manifest().parse().map_err(PlatformError::Index)?
                else {
                    return Ok(());
                };
                for (child, descriptor) in index.children().iter().zip(manifest.manifests) {
                    collect(child, descriptor.platform, images).await?;
                }
            }
        }
        Ok(())
    })
}

async fn check(image: &dyn Image, wanted: &Platform) -> Result<(), PlatformError> {
    match of_config(image).await? {
        Some(actual) if actual.serves(wanted) => Ok(()),
        Some(actual) => Err(PlatformError::Other { wanted: wanted.clone(), actual }),
        None => Err(PlatformError::Unknown(wanted.clone())),
    }
}

/// Returns the platform that the configuration names, if it is one that does.
async fn of_config(image: &dyn Image) -> Result<Option<Platform>, PlatformError> {
    let Some(config) = image.parts().first() else { return Ok(None) };
    let blob = config.prepare().await.map_err(PlatformError::Config)?;
    let size = blob.descriptor().size;
    let length = usize::try_from(size).ok().filter(|_| size <= CONFIG_LIMIT);
    let bytes = blob.read_at(0, length.ok_or(PlatformError::TooLarge(size))?).await;
    Ok(parse(&bytes.map_err(PlatformError::Read)?))
}

/// Reads the platform in a configuration. What is of another kind, such as an artifact's, names none.
pub(crate) fn parse(config: &Bytes) -> Option<Platform> {
    let Config { os, architecture, variant } = serde_json::from_slice(config).unwrap_or_default();
    (!os.is_empty() && !architecture.is_empty()).then_some(Platform { os, architecture, variant })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn platforms_are_written_as_everywhere() {
        for text in ["linux/amd64", "linux/arm/v7", "windows/amd64"] {
            assert_eq!(platform(text).to_string(), text);
        }
        assert_eq!(platform("Linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(platform("linux/armhf").to_string(), "linux/arm/v7");
        for text in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux//v7", "linux/a b", "linux/amd64/"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_exact_one_is_chosen_else_one_of_any_variant() {
        let choose = |wanted: &str, there: &[&str]| {
            let items = there.iter().map(|text| (platform(text), (*text).to_owned()));
            super::choose(&platform(wanted), items)
        };
        let arm = ["linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"];
        assert_eq!(choose("linux/arm", &arm).as_deref(), Some("linux/arm/v7"));
        assert_eq!(choose("linux/arm/v6", &arm).as_deref(), Some("linux/arm/v6"));
        assert_eq!(choose("linux/arm/v5", &arm), None);
        assert_eq!(choose("linux/arm64", &arm).as_deref(), Some("linux/arm64/v8"));
        assert_eq!(choose("linux/arm", &arm[..1]).as_deref(), Some("linux/arm/v6"));
        assert_eq!(
            choose("linux/amd64", &["windows/amd64", "linux/amd64/v3", "linux/amd64"]).as_deref(),
            Some("linux/amd64")
        );
        assert_eq!(choose("linux/amd64/v1", &["linux/amd64"]).as_deref(), Some("linux/amd64"));
    }

    #[test]
    fn what_is_no_configuration_names_no_platform() {
        for config in ["{}", "", "[1]", r#"{"os": 1}"#, r#"{"os": "linux"}"#] {
            assert_eq!(parse(&Bytes::from_static(config.as_bytes())), None);
        }
    }
}
