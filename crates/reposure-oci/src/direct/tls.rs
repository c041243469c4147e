//! Which certificates are trusted.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is no PEM.
    #[error("the authority is no PEM of certificates")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// The PEM holds no certificate.
    #[error("the authority's PEM holds no certificate")]
    Empty,
    /// The library refuses a certificate, or its own defaults.
    #[error("TLS cannot be set up with the authority")]
    Refused(#[source] rustls::Error),
}

/// Which certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TrustAnchors {
    /// Those of the system.
    #[default]
    System,
    /// Those in this PEM, and no others, for the registry itself; the system's as well for hosts that it sends us to.
    Pem(Vec<u8>),
}

impl TrustAnchors {
    /// Returns the configuration for the registry itself.
    pub(crate) fn config(&self) -> Result<ClientConfig, TlsError> {
        match self {
            Self::System => config(system()),
            Self::Pem(pem) => config(add(RootCertStore::empty(), pem)?),
        }
    }

    /// Returns the configuration for storage and token realms that the registry sends us to.
    pub(crate) fn config_elsewhere(&self) -> Result<ClientConfig, TlsError> {
        match self {
            Self::System => config(system()),
            Self::Pem(pem) => config(add(system(), pem)?),
        }
    }
}

/// The system's certificates. One without any trusts nothing, and says so with each connection.
fn system() -> RootCertStore {
    let mut store = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::debug!(%error, "cannot read certificates of the system");
    }
    store.add_parsable_certificates(loaded.certs);
    store
}

fn add(mut store: RootCertStore, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut empty = true;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        store.add(certificate.map_err(TlsError::Pem)?).map_err(TlsError::Refused)?;
        empty = false;
    }
    if empty { Err(TlsError::Empty) } else { Ok(store) }
}

fn config(store: RootCertStore) -> Result<ClientConfig, TlsError> {
    // Named here, since a process may have none or another as its default.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(TlsError::Refused)?.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_holds_no_certificate() {
        let config = |pem: &str| TrustAnchors::Pem(pem.into()).config();
        assert!(matches!(config("").unwrap_err(), TlsError::Empty));
        let malformed = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(config(malformed).unwrap_err(), TlsError::Refused(_)));
    }
}
