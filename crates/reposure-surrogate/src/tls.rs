//! TLS: the surrogate's own certificate, and trust in others.

use std::{net::Ipv4Addr, sync::Arc};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use reposure_oci::cryptography;
use rustls::{
    CertificateError, ClientConfig, Error, RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, ring},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};

/// The sessions that may be resumed from memory; tickets need none.
const SESSIONS: usize = 1024;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate could be made.
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// The configuration is impossible.
    #[error("cannot configure TLS")]
    Configuration(#[source] rustls::Error),
    /// A file of certificates holds something else than PEM.
    #[error("this is no PEM of certificates")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// A file of a key holds something else than PEM.
    #[error("this is no PEM of a private key")]
    Key(#[source] rustls_pki_types::pem::Error),
    /// A file of authorities holds no certificate, or none that is well-formed.
    #[error("there is no certificate among the authorities")]
    NoAuthority,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(cryptography::provider())
}

/// Makes a certificate that nobody vouches for, and the configuration of a server that shows it.
///
/// The API server does not verify the certificate of a pod. It opens many connections, so ECDSA P-256 and resumption count. It
/// is offered HTTP/1.1 alone: its HTTP/2 windows halve the throughput.
pub(crate) fn server(name: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let key = KeyPair::generate().map_err(TlsError::Certificate)?;
    let mut parameters = CertificateParams::new([name.to_owned()]).map_err(TlsError::Certificate)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let certificate = parameters.self_signed(&key).map_err(TlsError::Certificate)?;
    serving(vec![certificate.der().clone()], key.into())
}

/// Returns the configuration of a server that shows the certificate in one text of PEM, with those of its issuers, and has the key in
/// another.
pub(crate) fn server_of(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates =
        CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>().map_err(TlsError::Pem)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    serving(certificates, key)
}

fn serving(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(TlsError::Configuration)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS);
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Configuration)?;
    Ok(Arc::new(config))
}

/// Tells whether who trusts the `authorities`, and no others, trusts the first of `certificates`, which the rest leads up to, by whatever
/// name. Where there is nothing to compare, it may be.
pub(crate) fn may_be_trusted(authorities: &[u8], certificates: &[u8]) -> bool {
    let Ok(roots) = roots(authorities) else { return true };
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build() else {
        return true;
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates).filter_map(Result::ok).collect();
    let Some((shown, between)) = chain.split_first() else { return true };
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let found = verifier.verify_server_cert(shown, between, &name, &[], UnixTime::now());
    // The name, which it need not have, is looked at when all else is well.
    let of_name = |why: &CertificateError| {
        matches!(why, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
    };
    match found {
        Ok(_) => true,
        Err(Error::InvalidCertificate(why)) => of_name(&why),
        Err(_) => false,
    }
}

/// Returns the authorities in `pem`.
fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // An authority that is malformed vouches for nothing, and does not take the others with it.
        let _ = roots.add(certificate.map_err(TlsError::Pem)?);
    }
    if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(roots) }
}

/// Returns the configuration of a client that trusts the certificates in `pem` alone.
pub(crate) fn client(pem: &[u8]) -> Result<ClientConfig, TlsError> {
    let roots = roots(pem)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Configuration)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
