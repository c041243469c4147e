//! Digests, names, images, archives and a client for OCI registries.
//!
//! | module | holds |
//! |---|---|
//! | [`digest`] | [`Digest`] and the [`Digester`] that computes one |
//! | [`diff_id`] | [`DiffIdDigester`](diff_id::DiffIdDigester): the digest of a layer's uncompressed tar |
//! | [`name`] | [`RepositoryName`], [`Tag`], [`Reference`], [`ImageName`] |
//! | [`media_type`] | [`MediaType`] and the ones that are known here |
//! | [`manifest`] | [`RawManifest`] (bytes, never rewritten) and its parsed views |
//! | [`blob`] | [`Blob`]: bytes that can be read from any offset, as often as wanted |
//! | [`referrer`] | [`Referrer`]: signatures and the like, and the tags that lead to them |
//! | [`image`] | [`Artifact`]: images and indexes as immutable views |
//! | [`archive`] | [`Archive`]: images on disk, of every format |
//! | [`daemon`] | images of docker and podman on this machine |
//! | [`mod@file`] | files as images |
//! | [`platform`] | platforms as users write them, and choosing by them |
//! | [`place`] | [`Place`]: what users write for a source or a target |
//! | [`sink`] | images to disk |
//! | [`spool`] | [`Spool`]: bounded temporary files |
//! | [`cache`] | [`LayerCache`]: what layers became, so that one that a registry has is not compressed again |
//! | [`compression`] | [`Compression`]: how layers are compressed |
//! | [`gzip`] | compressed formats by their first bytes, and the levels of gzip |
//! | [`transport`] | [`Transport`]: the one HTTP exchange on which the registry client rests |
//! | [`direct`] | [`DirectTransport`]: connections to a registry at an [`Endpoint`] |
//! | [`auth`] | credentials, challenges, and tokens |
//! | [`remote`] | images of a registry as a source |
//! | [`registry`] | [`Client`](registry::Client) of the distribution API, over any transport |
//! | [`transfer`] | push and copy of images over that client |
//!
//! Nothing here knows of Kubernetes. The library prints nothing and reads no environment.
//!
//! # Examples
//! Sources give [`Artifact`]s, sinks take them. Here a file becomes an image, and the image an archive that `docker load` reads:
//!
//! ```
//! use reposure_oci::{
//!     Spool,
//!     archive::{self, Form},
//!     sink::{ArchiveName, write_artifact},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("hello.txt");
//! std::fs::write(&file, "hello\n")?;
//!
//! // What is compressed goes to temporary files of 1 MiB together at most.
//! let mut options = archive::Options::new(Spool::new(folder.path(), 1 << 20));
//! options.form = Form::File;
//! let image = archive::open(file, options).await?.select(None)?.artifact.clone();
//!
//! let name = ArchiveName::Image { host: None, image: "hello:v1".parse()? };
//! let tar = write_artifact(&image, vec![name], Vec::new()).await?;
//! assert_eq!(tar.len() % 512, 0);
//! # Ok(())
//! # }
//! ```
//!
//! And here an image of an archive is pushed to a registry:
//!
//! ```no_run
//! use reposure_oci::{
//!     DirectOptions, DirectTransport, Spool, archive,
//!     registry::Client,
//!     transfer::{Progress, PushOptions, push},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let options = archive::Options::new(Spool::new("/tmp", 1 << 30));
//! let archive = archive::open("app.tar", options).await?;
//! let client = Client::new(DirectTransport::new(DirectOptions::new("http://localhost:5000".parse()?))?);
//! let (artifact, name) = (&archive.select(None)?.artifact, "myrepo/app:v1".parse()?);
//! let digest = push(&client, artifact, &name, &PushOptions::default(), Progress::none()).await?;
//! println!("{digest}");
//! # Ok(())
//! # }
//! ```
//!
//! `examples/` has five short programs: `inspect_archive`, `push_archive`, `pull_archive`, `copy_image` and `tags`.

pub mod archive;
pub mod auth;
pub mod blob;
pub mod cache;
pub mod compression;
pub mod cryptography;
pub mod daemon;
pub mod diff_id;
pub mod digest;
pub mod direct;
pub mod endpoint;
pub mod file;
pub mod gzip;
pub mod image;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod place;
pub mod platform;
pub mod referrer;
pub mod registry;
pub mod remote;
pub mod sink;
pub mod spool;
pub mod transfer;
pub mod transport;

mod blocking;
mod decompress;
mod encoder;
mod measure;
mod tarball;

pub use archive::Archive;
pub use blob::{Blob, BlobError, FileSlice, MemoryBlob, PathBlob};
pub use cache::LayerCache;
pub use compression::{Compression, ZstdLevel};
pub use digest::{Algorithm, Digest, Digester};
pub use direct::{DirectOptions, DirectTransport, TrustAnchors};
pub use endpoint::{Endpoint, Scheme};
pub use image::{Artifact, Image, Index, Layer};
pub use manifest::{Descriptor, Manifest, Platform, RawManifest};
pub use media_type::MediaType;
pub use name::{ImageName, Reference, RepositoryName, Tag};
pub use place::Place;
pub use referrer::Referrer;
pub use spool::Spool;
pub use transport::{Body, Transport, TransportError};
