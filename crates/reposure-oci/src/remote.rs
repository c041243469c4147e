//! Images of another registry as a source: manifests are read at once, blobs when they are asked for, by ranges.

mod blob;
mod error;
mod image;
mod read;

pub use error::RemoteError;
pub use read::read;
