//! Which certificates are trusted.

use std::{fmt, sync::Arc};

use rustls::{ClientConfig, RootCertStore, client::WebPkiServerVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretSlice};

use super::peer::{Noting, PeerCertificate};
use crate::cryptography;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is no PEM.
    #[error("the authority is no PEM of certificates")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// The PEM holds no certificate.
    #[error("the authority's PEM holds no certificate")]
    Empty,
    /// The client's own certificate or key is no PEM.
    #[error("the client's certificate and key are no PEM of these")]
    Identity(#[source] rustls_pki_types::pem::Error),
    /// The client's own PEM holds no certificate.
    #[error("the client's PEM holds no certificate")]
    NoCertificate,
    /// The library refuses a certificate, or its own defaults.
    #[error("TLS cannot be set up with these certificates")]
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
    /// Those of the system, and those in this PEM as well.
    SystemAnd(Vec<u8>),
}

/// A certificate that the client shows to the registry itself, and its key.
#[derive(Clone)]
pub struct ClientIdentity {
    certificates: Vec<CertificateDer<'static>>,
    key: SecretSlice<u8>,
}

impl ClientIdentity {
    /// Takes PEM of a certificate, with the ones between it and its authority, and PEM of its key.
    ///
    /// # Errors
    /// When either is no such PEM. Whether they belong together shows when a connection is prepared.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let certificates = read.map_err(TlsError::Identity)?;
        if certificates.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Identity)?;
        Ok(Self { certificates, key: key.to_vec().into() })
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(self.key.expose_secret()).map_err(TlsError::Identity)
    }
}

/// To see whether files have changed, which are one's own.
impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates && self.key.expose_secret() == other.key.expose_secret()
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

impl TrustAnchors {
    /// Returns the configuration for the registry itself, which alone sees the client's certificate, and whose own is noted by
    /// `peer`.
    pub(crate) fn config(
        &self,
        identity: Option<&ClientIdentity>,
        peer: Option<&Arc<PeerCertificate>>,
    ) -> Result<ClientConfig, TlsError> {
        let store = self.roots()?;
        // Whoever trusts nothing has nothing that verifies.
        let peer = peer.filter(|_| !store.is_empty());
        let noting = peer.map(|peer| noting(store.clone(), peer)).transpose()?;
        let mut config = config(store, identity)?;
        if let Some(noting) = noting {
            config.dangerous().set_certificate_verifier(Arc::new(noting));
        }
        Ok(config)
    }

    /// Returns the configuration for storage and token realms that the registry sends us to.
    pub(crate) fn config_elsewhere(&self) -> Result<ClientConfig, TlsError> {
        let store = match self {
            Self::Pem(pem) => add(system(), pem)?,
            Self::System | Self::SystemAnd(_) => self.roots()?,
        };
        config(store, None)
    }

    /// Returns what is trusted of the registry itself.
    fn roots(&self) -> Result<RootCertStore, TlsError> {
        match self {
            Self::System => Ok(system()),
            Self::Pem(pem) => add(RootCertStore::empty(), pem),
            Self::SystemAnd(pem) => add(system(), pem),
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

/// Verifies as [`config`] does.
fn noting(store: RootCertStore, peer: &Arc<PeerCertificate>) -> Result<Noting, TlsError> {
    let provider = Arc::new(cryptography::provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
    let verifier = verifier.map_err(|error| TlsError::Refused(rustls::Error::General(error.to_string())))?;
    Ok(Noting { verifier, peer: Arc::clone(peer) })
}

fn config(store: RootCertStore, identity: Option<&ClientIdentity>) -> Result<ClientConfig, TlsError> {
    // Named here, since a process may have none or another as its default.
    let provider = Arc::new(cryptography::provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(TlsError::Refused)?.with_root_certificates(store);
    match identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.certificates.clone(), identity.key()?)
            .map_err(TlsError::Refused),
        None => Ok(builder.with_no_client_auth()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_holds_no_certificate() {
        for anchors in [TrustAnchors::Pem, TrustAnchors::SystemAnd] {
            let config = |pem: &str| anchors(pem.into()).config(None, None);
            assert!(matches!(config("").unwrap_err(), TlsError::Empty));
            let malformed = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
            assert!(matches!(config(malformed).unwrap_err(), TlsError::Refused(_)));
        }
    }

    #[test]
    fn certificates_are_trusted_alone_or_beside_the_systems() {
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(["r.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let pem = || own.pem().into_bytes();
        let count = |anchors: TrustAnchors| anchors.roots().unwrap().len();
        let system = count(TrustAnchors::System);
        assert!(system > 0, "the system has no certificates: package ca-certificates has some");
        assert_eq!(count(TrustAnchors::Pem(pem())), 1);
        assert_eq!(count(TrustAnchors::SystemAnd(pem())), system + 1);
    }

    #[test]
    fn an_identity_is_a_certificate_and_a_key() {
        let nothing = ClientIdentity::from_pem(b"", b"");
        assert!(matches!(nothing.unwrap_err(), TlsError::NoCertificate));
        let malformed = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(ClientIdentity::from_pem(malformed, b"x").unwrap_err(), TlsError::Identity(_)));
    }
}
