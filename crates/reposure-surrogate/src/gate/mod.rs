//! A gate before the built-in registry, in the same pod: it ends TLS, asks for passwords, and passes everything else on.
//!
//! CNCF Distribution reads its certificate once, and its `htpasswd` tells no reader from a writer. So it listens on loopback, without
//! either, and the gate stands before it: certificate and users are read again when their files change, and no transfer breaks for it.

mod answer;
mod certificate;
mod file;
mod forward;
mod headers;
mod htpasswd;
mod memory;
mod options;
mod passwords;
mod running;
mod users;

pub use options::GateOptions;
pub use running::{GateError, RegistryGate};
