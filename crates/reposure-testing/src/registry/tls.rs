//! A certificate of an authority made at start.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use tokio_rustls::TlsAcceptor;

/// An acceptor, and the PEM of the authority that it is to be trusted by.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) authority: String,
    /// PEM of a certificate that is asked for, where one is, and of its key.
    pub(crate) client: Option<[String; 2]>,
}

impl Identity {
    /// Makes an authority, and a certificate for `localhost`, the address and these names.
    pub(crate) fn new(address: SocketAddr, names: &[String]) -> io::Result<Self> {
        Self::make(address.ip(), names, false).map_err(io::Error::other)
    }

    /// Makes the same, which asks clients for a certificate of the authority.
    pub(crate) fn asking(address: SocketAddr, names: &[String]) -> io::Result<Self> {
        Self::make(address.ip(), names, true).map_err(io::Error::other)
    }

    fn make(address: IpAddr, names: &[String], asks: bool) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let own = ["localhost".into(), address.to_string()];
        let (certificate, key) = issue(&issuer, own.into_iter().chain(names.iter().cloned()).collect())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(issuer.der().clone())?;
            let roots = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(roots.build()?)
        } else {
            builder.with_no_client_auth()
        };
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = builder.with_single_cert(vec![certificate.der().clone()], private)?;
        let client =
            || issue(&issuer, vec!["client".into()]).map(|(own, key)| [own.pem(), key.serialize_pem()]);
        let client = asks.then(client).transpose()?;
        Ok(Self { acceptor: Arc::new(config).into(), authority: issuer.pem(), client })
    }
}

fn issue(
    issuer: &CertifiedIssuer<'_, KeyPair>,
    names: Vec<String>,
) -> Result<(Certificate, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok((CertificateParams::new(names)?.signed_by(&key, issuer)?, key))
}
