//! The certificates of the built-in registry: an authority of its own, and what it signs.
//!
//! | module | holds |
//! |---|---|
//! | `names` | what a certificate is for |
//! | `issue` | keys and certificates, made |
//! | `read` | certificates, read |
//! | `bundle` | the authorities that clients are told to trust, and since when |
//! | `authorities` | the authority that signs, and the one that is to follow it |
//! | `secrets` | the Secrets that all this is kept in, and how ours are told from others |
//! | `renewal` | what is to be written, and when there is something to be done again |
//! | `role` | what lets the operator do so |
//!
//! Nothing is replaced before those who trust it have had time to learn of what follows: a new authority is in the `ca.crt` of the
//! Secret for [`SPREAD`] before anything is signed by it, and an old one stays there for as long afterwards.

mod authorities;
mod bundle;
mod issue;
mod names;
mod read;
mod renewal;
mod role;
mod secrets;
#[cfg(test)]
mod tests;

pub use bundle::SPREAD;
pub use issue::{AUTHORITY_LIFE, LIFE};
pub use names::CertificateNames;
pub use renewal::{Certificates, Found, Outlook, simple_certificates};
pub use role::{operators, simple_certificates_role};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The system has no randomness, or a name is none.
    #[error("a certificate for the built-in registry cannot be made")]
    Make(#[source] rcgen::Error),
    /// There is a Secret of the authority's name that is not ours.
    #[error("it holds an authority of somebody else's")]
    ForeignAuthority,
    /// The Secret of the authority cannot be used.
    #[error("the authority in it cannot be used")]
    DamagedAuthority,
}
