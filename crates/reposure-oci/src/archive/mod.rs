//! Images on disk: docker-archives, OCI archives, OCI layouts, and files that become images.
//!
//! [`open`] finds out what a source is and gives an [`Archive`] of [`Entry`]s; [`receive`] does so for a stream. Archives come from anywhere, so that paths,
//! links, sizes and counts in them are checked before anything is taken from them.
//!
//! | source | how it is known | its images |
//! |---|---|---|
//! | OCI layout, in a folder or a tar | `oci-layout` | go byte for byte as they are |
//! | docker-archive | `manifest.json` | layers are compressed, the manifest is made here |
//! | both at once, as docker writes since 25 | both | as of the layout, unless a graph driver made it |
//! | any other file | – | one layer that holds the file |
//!
//! A tar may be compressed as a whole, by gzip, Zstandard, xz or bzip2: it is told by its first bytes, and decompressed into the
//! [`Spool`](crate::Spool).

mod combine;
pub(crate) mod compress;
pub(crate) mod docker;
pub(crate) mod docker_image;
mod docker_layer;
mod entry;
mod index;
pub(crate) mod layout;
mod open;
mod options;
pub(crate) mod parts;
mod path;
mod place;
pub(crate) mod referrers;
pub(crate) mod store;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use combine::CombineError;
pub use docker::DockerError;
pub(crate) use docker::LAYERS_LIMIT;
pub use docker_image::MakeManifestError;
pub use docker_layer::LayerError;
pub use entry::{Archive, Entry, SelectError};
pub(crate) use entry::{normalize, tag};
pub use index::{MemberError, TarError};
pub use layout::LayoutError;
pub use open::{OpenError, open, receive};
pub use options::{Form, Options, Workers, host_platform};
pub use path::PathError;
pub use place::MemberPlace;
pub use referrers::Attached;
pub use store::StoreError;
