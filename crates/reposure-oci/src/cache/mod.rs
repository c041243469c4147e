//! What layers became when they were compressed, so that one that a registry has is not compressed again.
//!
//! An entry says: the uncompressed bytes of this digest, which was measured, gave by this encoder a blob of that digest and size.
//! It only names a blob that is asked for: what the registry does not confirm by digest and size is compressed as if there were no
//! cache. So the file may be old, lost or damaged, and may be deleted at any time.
//!
//! Other entries say what was measured of a stretch of a file in one state, so that a file that nobody has touched since is not even
//! read.

mod alone;
mod entry;
mod layers;
mod stamp;

pub(crate) use entry::Entry;
pub use layers::LayerCache;
pub(crate) use stamp::Stamp;
