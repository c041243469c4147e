//! Digests, names, images, archives and a client for OCI registries.
//!
//! | module | holds |
//! |---|---|
//! | [`digest`] | [`Digest`] and the [`Digester`] that computes one |
//! | [`name`] | [`RepositoryName`], [`Tag`], [`Reference`], [`ImageName`] |
//! | [`media_type`] | [`MediaType`] and the ones that are known here |
//! | [`manifest`] | [`RawManifest`] (bytes, never rewritten) and its parsed views |
//! | [`blob`] | [`Blob`]: bytes that can be read from any offset, as often as wanted |
//! | [`referrer`] | [`Referrer`]: signatures and the like, and the tags that lead to them |
//! | [`image`] | [`Artifact`]: images and indexes as immutable views |
//! | [`archive`] | [`Archive`]: images on disk, of every format |
//! | [`mod@file`] | files as images |
//! | [`sink`] | images to disk |
//! | [`spool`] | [`Spool`]: bounded temporary files |
//! | [`gzip`] | compressed formats, and gzip that is the same for the same content |
//! | [`transport`] | [`Transport`]: the one HTTP exchange on which the registry client rests |
//! | [`direct`] | [`DirectTransport`]: connections to a registry at an [`Endpoint`] |
//! | [`auth`] | credentials, challenges, and tokens |
//! | [`registry`] | [`Client`](registry::Client) of the distribution API, over any transport |
//!
//! Nothing here knows of Kubernetes. The library prints nothing and reads no environment.

pub mod archive;
pub mod auth;
pub mod blob;
pub mod digest;
pub mod direct;
pub mod endpoint;
pub mod file;
pub mod gzip;
pub mod image;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod referrer;
pub mod registry;
pub mod sink;
pub mod spool;
pub mod transport;

mod blocking;
mod encoder;
mod measure;
mod tarball;

pub use archive::Archive;
pub use blob::{Blob, BlobError, FileSlice, MemoryBlob, PathBlob};
pub use digest::{Algorithm, Digest, Digester};
pub use direct::{DirectOptions, DirectTransport, TrustAnchors};
pub use endpoint::{Endpoint, Scheme};
pub use image::{Artifact, Image, Index, Layer};
pub use manifest::{Descriptor, Manifest, RawManifest};
pub use media_type::MediaType;
pub use name::{ImageName, Reference, RepositoryName, Tag};
pub use referrer::Referrer;
pub use spool::Spool;
pub use transport::{Body, Transport, TransportError};
