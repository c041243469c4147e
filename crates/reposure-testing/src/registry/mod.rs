//! An OCI registry in memory that listens on a real socket.
//!
//! It follows the [distribution specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md) as
//! CNCF Distribution does, and departs from it where [`Quirks`] or a [`Fault`] say so.

mod answer;
mod attended;
mod auth;
mod digest;
mod fault;
mod handler;
mod intake;
mod known;
mod log;
mod openshift;
mod options;
mod route;
mod server;
mod shared;
mod store;
pub(crate) mod tls;

pub use fault::{Fault, Injection};
pub use log::Entry;
pub use openshift::{Cluster, ImageStreamApi, Judge, Rule};
pub use options::{
    AnonymousMount, Auth, DigestHeader, FirstPush, Immutable, LocationForm, Options, Quirks, TagDelete, Users,
};
pub use server::MemoryRegistry;

pub use digest::sha256;
