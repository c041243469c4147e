//! The registry: how it is reached, whether it is well, and what it is asked for.

pub(crate) mod blobs;
mod health;
pub(crate) mod refusal;
mod registry;

pub(crate) use health::Health;
pub(crate) use registry::{Registry, RegistryError};
