//! Manifests: the bytes as they came, and parsed views of them.
//!
//! A manifest is never serialised again: its digest is that of its bytes, and views here drop the fields they do not know.
//!
//! See the image specification: [manifest](https://github.com/opencontainers/image-spec/blob/main/manifest.md),
//! [index](https://github.com/opencontainers/image-spec/blob/main/image-index.md),
//! [descriptor](https://github.com/opencontainers/image-spec/blob/main/descriptor.md).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    digest::{Digest, Digester},
    media_type::MediaType,
};

/// The largest manifest, in bytes: what Distribution takes, and what the specification asks every registry to take.
pub const MANIFEST_LIMIT: usize = 4 << 20;
/// How deep indexes may be nested below the first one: the ones that people make have one level.
pub const INDEX_DEPTH_LIMIT: usize = 4;
/// How many manifests one image, index or archive may lead to: some hundred platforms with an attestation each. They are held in
/// memory.
pub const MANIFESTS_LIMIT: usize = 1024;

/// What a manifest says of a blob or of another manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The content's media type.
    pub media_type: MediaType,
    /// The content's size in bytes.
    pub size: u64,
    /// The content's digest.
    pub digest: Digest,
    /// Annotations, such as an OCI layout's `org.opencontainers.image.ref.name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What an index's image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Describes content, with no annotations.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self { media_type, size, digest, annotations: BTreeMap::new(), platform: None }
    }
}

/// The platform of an image in an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, …
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7`, `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A parsed view of an image manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own media type; optional in OCI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A parsed view of an index or manifest list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own media type; optional in OCI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The children.
    pub manifests: Vec<Descriptor>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A parsed view of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// An image.
    Image(ImageManifest),
    /// An index of images.
    Index(IndexManifest),
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The manifest is larger than [`MANIFEST_LIMIT`].
    #[error("the manifest has {0} bytes, over the limit of {MANIFEST_LIMIT}")]
    TooLarge(usize),
    /// The manifest is of a media type that is unknown here.
    #[error("{0} is no media type of a manifest that is known here")]
    UnknownMediaType(MediaType),
    /// The bytes are no JSON of the expected shape.
    #[error("the {media_type} is malformed")]
    Malformed {
        /// The manifest's media type.
        media_type: MediaType,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The bytes have another digest than was asked for.
    #[error("the manifest {expected} holds other bytes, of digest {actual}")]
    DigestMismatch {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// The media type in the body is another than the one it came with.
    #[error("the manifest came as {outer}, but says that it is {inner}")]
    MediaTypeMismatch {
        /// The one that it came with.
        outer: MediaType,
        /// The one in the body.
        inner: MediaType,
    },
}

/// A manifest's bytes with their media type and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawManifest {
    media_type: MediaType,
    digest: Digest,
    bytes: Bytes,
}

impl RawManifest {
    /// Takes a manifest's bytes as they are and computes their SHA-256 digest.
    ///
    /// # Errors
    /// [`ManifestError::TooLarge`] above [`MANIFEST_LIMIT`]. The bytes are not parsed.
    pub fn new(media_type: MediaType, bytes: Bytes) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_LIMIT {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        Ok(Self { media_type, digest: Digest::sha256_of(&bytes), bytes })
    }

    /// Takes a manifest's bytes that must have `digest`, of whatever algorithm.
    ///
    /// # Errors
    /// [`ManifestError::TooLarge`] above [`MANIFEST_LIMIT`], [`ManifestError::DigestMismatch`] when these are other bytes.
    pub fn verified(media_type: MediaType, bytes: Bytes, digest: &Digest) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_LIMIT {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let mut digester = Digester::new(digest.algorithm());
        digester.update(&bytes);
        let actual = digester.finish();
        if actual != *digest {
            return Err(ManifestError::DigestMismatch { expected: digest.clone(), actual });
        }
        Ok(Self { media_type, digest: actual, bytes })
    }

    /// Returns the media type that the manifest came with.
    pub const fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Returns the digest of the bytes.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns a descriptor of the manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest.clone(), self.bytes.len() as u64)
    }

    /// Parses the manifest.
    ///
    /// # Errors
    /// When the media type is unknown, the JSON is malformed, or body and media type contradict each other.
    pub fn parse(&self) -> Result<Manifest, ManifestError> {
        let malformed = |source| ManifestError::Malformed { media_type: self.media_type.clone(), source };
        let (manifest, inner) = if self.media_type.is_index() {
            let index: IndexManifest = serde_json::from_slice(&self.bytes).map_err(malformed)?;
            let inner = index.media_type.clone();
            (Manifest::Index(index), inner)
        } else if self.media_type.is_manifest() {
            let image: ImageManifest = serde_json::from_slice(&self.bytes).map_err(malformed)?;
            let inner = image.media_type.clone();
            (Manifest::Image(image), inner)
        } else {
            return Err(ManifestError::UnknownMediaType(self.media_type.clone()));
        };
        match inner {
            Some(inner) if inner != self.media_type => {
                Err(ManifestError::MediaTypeMismatch { outer: self.media_type.clone(), inner })
            }
            _ => Ok(manifest),
        }
    }
}
