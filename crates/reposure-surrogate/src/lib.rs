//! The pod beside a registry that acts for users of Reposure.
//!
//! It holds the registry's credentials and authorities, checks who asks, and answers the API of `reposure-parcel` over TLS:
//! uploads in chunks, questions for many blobs at once, and the registry's own API as a gateway. It is a jump server: it
//! reaches one registry and nothing else.
//!
//! [`Surrogate`] serves in the process that starts it; [`cli`] is the program. [`Embedded`] is one without a port, for a client that
//! reaches the registry by itself. The program is also the [`gate`] before the built-in registry.

mod access;
mod after;
mod announced;
mod answer;
mod api_server;
mod app;
mod body;
pub mod cli;
mod embedded;
mod exists;
pub mod gate;
mod gateway;
mod handover;
mod hello;
mod identifier;
mod kind;
mod probe;
mod reason;
mod results;
mod route;
mod server;
mod session;
mod storage;
mod surrogate;
mod tickets;
mod tls;
mod uploads;
mod upstream;

pub use embedded::Embedded;
pub use surrogate::{StartError, Surrogate};
pub use tls::TlsError;
