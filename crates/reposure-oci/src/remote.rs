//! Images of a registry as a source: their manifests are read at once, their blobs when they are asked for, by ranges.
//!
//! - [`fetch`] gives an image or index as an [`Artifact`](crate::Artifact), which sinks take and
//!   [`push`](crate::transfer::push) pushes.
//! - [`fetch_with_referrers`] gives what refers to it as well.
//! - [`fetch_tree`] gives its manifests alone, and [`fetch_referrers`] those of what refers to it.
//!
//! # Limits
//! Indexes are nested 4 deep at most, with 1024 manifests together; an image has at most 128 layers.

mod blob;
mod error;
mod fetch;
mod image;
mod in_order;
mod referrers;
mod tree;

pub use error::RemoteError;
pub use fetch::{artifact, fetch, fetch_with_referrers};
pub use referrers::fetch_referrers;
pub use tree::{AttachedTree, Tree, fetch_tree};
