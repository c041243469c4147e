//! Images to disk: one tar that is an OCI layout and a docker-archive at once, OCI layouts in folders, files that appear when they
//! are complete, and the file in an image of one.
//!
//! The tar is for `docker load`, `podman load`, `ctr images import`, `nerdctl load` and `skopeo copy`, in either form. It is
//! written from front to back, so that it may go to a pipe; the same images give the same bytes.
//!
//! - [`Plan`] lays the tar out: everything but the blobs, and where these go.
//! - [`ArchiveWriter`] writes it in order and checks every blob; [`write_artifact`] does that for an [`Artifact`].
//! - [`LayoutFolder`] is an OCI layout in a folder, which images are added to.
//! - [`AtomicFile`] is a file that gets its name when it is complete; its [`Record`] says what an earlier process left of it.
//! - [`unpack_layer`] gives the file in a layer.
//!
//! [`Artifact`]: crate::image::Artifact

mod atomic_file;
mod copy;
mod layout;
mod listing;
mod name;
mod plan;
mod reached;
mod record;
mod room;
mod unfinished;
mod unpack;
mod writer;

#[cfg(test)]
mod tests;

pub use atomic_file::{AtomicFile, AtomicFileError, Durability};
pub use copy::{CopyError, write_artifact};
pub use layout::{LayoutAddition, LayoutFolder, LayoutWriteError, NewBlob};
pub use name::ArchiveName;
pub use plan::{ArchiveForm, Plan, PlanError, PlannedBlob, SavedImage};
pub use record::Record;
pub use unpack::{UnpackError, unpack_layer};
pub use writer::{ArchiveWriter, WriteError};
