//! Test doubles of Reposure: an OCI registry in memory, with the quirks and failures of real ones, and random images.
//!
//! Nothing here depends on another crate of the workspace, so that what is tested is not also what tests it: digests are
//! plain strings, and the registry's reading of the specification is its own.

pub mod random;
pub mod registry;

pub use random::RandomImage;
pub use registry::{
    Auth, DigestHeader, Entry, Fault, Injection, LocationForm, MemoryRegistry, Options, Quirks, TagDelete,
    Users,
};
