//! Where a gate finds things and answers: what the plan of its pod and the program have to agree on.
//!
//! A gate stands before the built-in registry in the same pod: it ends TLS and asks for passwords, and the registry listens on the
//! pod's loopback alone.

/// What the program of a surrogate is to do as a gate.
pub const COMMAND: &str = "gate";
/// The gate's container.
pub const CONTAINER: &str = "gate";
/// The port of the registry behind the gate, on loopback.
pub const REGISTRY_PORT: u16 = 5001;
/// The port for the kubelet's probes: plain HTTP, without a password.
pub const HEALTH_PORT: u16 = 5002;
/// The path on that port that is 200 as long as the gate runs.
pub const ALIVE: &str = "/alive";
/// The path on that port that is 200 while the registry behind the gate answers, and 503 else.
pub const READY: &str = "/ready";

/// The file of the certificate, with those of its issuers, in the folder for TLS.
pub const CERTIFICATE_FILE: &str = "tls.crt";
/// The file of its private key, in the same folder.
pub const KEY_FILE: &str = "tls.key";
/// The file of the authorities that those who read the same Secret trust, in the same folder; it may be missing.
pub const AUTHORITIES_FILE: &str = "ca.crt";
/// The file of those who may do everything, in the folder of users; it has to be there.
pub const USERS_FILE: &str = "htpasswd";
/// The file of those who may but pull, in the same folder.
pub const PULL_USERS_FILE: &str = "htpasswd-pull";
/// The realm that a client is asked for a password of.
pub const REALM: &str = "reposure-simple";
