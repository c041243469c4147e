//! Events of a push or pull, for whoever shows them: those of [`transfer`](reposure_oci::transfer), whatever the way is.

pub use reposure_oci::transfer::{Event, Progress};
