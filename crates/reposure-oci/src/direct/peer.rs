//! The certificate that the registry shows.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::validity::Validity;

/// When the certificate is good that the registry showed last, whether it was trusted or not.
#[derive(Default)]
pub struct PeerCertificate(Mutex<Option<(Instant, Validity)>>);

impl PeerCertificate {
    /// Returns when the certificate is good, and when it was shown; none while there was none.
    ///
    /// A connection that is kept, or a session that is resumed, shows none.
    pub fn seen(&self) -> Option<(Instant, Validity)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, certificate: &[u8]) {
        let validity = Validity::of_der(certificate).map(|validity| (Instant::now(), validity));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = validity;
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PeerCertificate").field(&self.seen()).finish()
    }
}

/// Verifies as rustls does, and takes note of what was shown.
#[derive(Debug)]
pub(crate) struct Noting {
    pub(crate) verifier: Arc<WebPkiServerVerifier>,
    pub(crate) peer: Arc<PeerCertificate>,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.peer.note(end_entity);
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
