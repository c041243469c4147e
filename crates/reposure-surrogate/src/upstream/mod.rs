//! The registry: how it is reached, whether it is well, and what its errors mean.

mod authorities;
mod fixed;
mod health;
mod reference;
pub(crate) mod refusal;
mod registry;

use std::sync::Arc;

use reposure_oci::{registry as oci, transport::Transport};

pub(crate) use fixed::FixedRegistry;
pub(crate) use health::Health;
pub(crate) use reference::relative;
pub(crate) use registry::{Registry, RegistryError};

/// The client of the registry.
pub(crate) type Client = oci::Client<Arc<dyn Transport>>;
