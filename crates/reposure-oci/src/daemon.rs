//! Images of docker and podman on this machine, through the HTTP API of their sockets.
//!
//! Podman serves docker's API beside its own, so that one client does for both. See the
//! [API of docker](https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image) and the
//! [API of podman](https://docs.podman.io/en/v4.3/_static/api.html).
//!
//! Whoever may speak to such a socket may do everything that the daemon may, so it is opened only where a user names a
//! daemon's image.

mod address;
mod body;
mod client;
mod connection;
mod error;
mod load;

#[cfg(test)]
mod tests;

pub use address::{AddressError, DaemonAddress};
pub use client::Daemon;
pub use error::{DaemonError, Engine};
