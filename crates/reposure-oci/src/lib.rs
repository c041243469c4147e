//! Digests, names, images, archives and a client for OCI registries.
//!
//! | module | holds |
//! |---|---|
//! | [`digest`] | [`Digest`] and the [`Digester`] that computes one |
//! | [`name`] | [`RepositoryName`], [`Tag`], [`Reference`], [`ImageName`] |
//! | [`media_type`] | [`MediaType`] and the ones that are known here |
//! | [`manifest`] | [`RawManifest`] (bytes, never rewritten) and its parsed views |
//! | [`blob`] | [`Blob`]: bytes that can be read from any offset, as often as wanted |
//! | [`image`] | [`Artifact`]: images and indexes as immutable views |
//! | [`transport`] | [`Transport`]: the one HTTP exchange on which the registry client rests |
//!
//! Nothing here knows of Kubernetes. The library prints nothing and reads no environment.

pub mod blob;
pub mod digest;
pub mod image;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod transport;

pub use blob::{Blob, BlobError, FileSlice, MemoryBlob};
pub use digest::{Algorithm, Digest, Digester};
pub use image::{Artifact, Image, Index, Layer};
pub use manifest::{Descriptor, Manifest, RawManifest};
pub use media_type::MediaType;
pub use name::{ImageName, Reference, RepositoryName, Tag};
pub use transport::{Body, Transport, TransportError};
