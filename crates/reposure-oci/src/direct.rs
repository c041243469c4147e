//! A direct connection to a registry, without a surrogate.
//!
//! # Guarantees
//! Credentials leave for the registry's own origin, or for a token realm, and for nowhere else: not along a redirect, and not
//! by plain HTTP unless the registry is dialled so. Every wait has a deadline.

mod client;
mod clients;
mod error;
mod location;
mod peer;
mod redirect;
mod replay;
mod tls;
mod transport;
mod validity;

pub use error::{Cause, DirectError};
pub use peer::PeerCertificate;
pub use tls::{ClientIdentity, TlsError, TrustAnchors};
pub use transport::{DirectOptions, DirectTransport};
pub use validity::Validity;
