//! Test doubles of Reposure: an OCI registry in memory, with the quirks and failures of real ones, random images, and bad
//! links.
//!
//! Nothing here depends on another crate of the workspace, so that what is tested is not also what tests it: digests are
//! plain strings, and the registry's reading of the specification is its own.

mod any_certificate;
pub mod api_server;
mod forward_proxy;
pub mod http2;
mod middle_box;
pub mod random;
mod raw_server;
pub mod registry;
pub mod relay;
mod socks_proxy;

pub use api_server::FakeApiServer;
pub use forward_proxy::{Asked, ForwardProxy};
pub use middle_box::{MiddleBox, Passed};
pub use random::RandomImage;
pub use raw_server::{RawAnswer, RawServer, When};
pub use registry::sha256 as digest_of;
pub use registry::{
    AnonymousMount, Auth, Cluster, DigestHeader, Entry, Fault, FirstPush, ImageStreamApi, Immutable,
    Injection, Judge, LocationForm, MemoryRegistry, Options, Quirks, Rule, TagDelete, Users,
};
pub use relay::Relay;
pub use socks_proxy::{SocksProxy, SocksTarget, Wanted};
