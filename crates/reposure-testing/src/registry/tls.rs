//! A certificate of an authority made at start.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio_rustls::TlsAcceptor;

/// An acceptor, and the PEM of the authority that it is to be trusted by.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) authority: String,
}

impl Identity {
    /// Makes an authority, and a certificate for `localhost` and the address.
    pub(crate) fn new(address: SocketAddr) -> io::Result<Self> {
        let (authority, chain, key) = certify(address.ip()).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        Ok(Self { acceptor: Arc::new(config).into(), authority })
    }
}

type Certified = (String, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certify(address: IpAddr) -> Result<Certified, rcgen::Error> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".into(), address.to_string()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok((issuer.pem(), vec![certificate.der().clone()], private))
}
