//! A direct connection to a registry, without a surrogate.
//!
//! # Guarantees
//! Credentials leave for the registry's own origin, or for a token realm, and for nowhere else: not along a redirect, and not
//! by plain HTTP unless the registry is dialled so. Every wait has a deadline.

mod client;
mod clients;
mod error;
mod location;
mod redirect;
mod replay;
mod tls;
mod transport;

pub use error::{Cause, DirectError};
pub use tls::{ClientIdentity, TlsError, TrustAnchors};
pub use transport::{DirectOptions, DirectTransport};
