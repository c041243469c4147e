//! The channel `local`: a surrogate on this machine, as the demo and the tests run it.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use reposure_oci::{Body, transport::BoxError};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{Channel, ChannelError, Hop};

/// Reaches a surrogate at a loopback address.
#[derive(Clone, Debug)]
pub struct Local {
    address: SocketAddr,
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no local channel.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The address is not on this machine, where the certificate would have to be verified.
    #[error("{0} is no loopback address: the local channel verifies no certificate")]
    NotLoopback(SocketAddr),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

impl Local {
    /// Addresses the surrogate that serves TLS at `address`.
    ///
    /// # Errors
    /// When the address is not a loopback one: a surrogate's certificate is made at its start and signed by nobody.
    pub fn new(address: SocketAddr) -> Result<Self, LocalError> {
        if !address.ip().is_loopback() {
            return Err(LocalError::NotLoopback(address));
        }
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(LocalError::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(http);
        let client = legacy::Builder::new(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(https);
        Ok(Self { address, client })
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Body>, ChannelError> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = format!("https://{}{path}", self.address)
            .parse::<Uri>()
            .map_err(|source| ChannelError { hop: Hop::Surrogate, source: source.into() })?;
        let response = self
            .client
            .request(Request::from_parts(parts, Full::new(body)))
            .await
            .map_err(|source| ChannelError { hop: Hop::Surrogate, source: source.into() })?;
        Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }
}

impl Channel for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        self.exchange(request).boxed()
    }
}

/// Takes any certificate: over loopback there is nobody in between. Signatures are verified nevertheless.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
