//! The way to the registry, made anew when the authorities that are trusted change.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use reposure_oci::{
    auth::{Credentials, CredentialsFolder, CredentialsSource, FixedCredentials},
    direct::{DirectOptions, DirectTransport, PeerCertificate, TlsError, TrustAnchors},
    endpoint::{Endpoint, EndpointError, Scheme},
    transport::{Body, Transport, TransportError},
};
use reposure_parcel::config::{self, UpstreamConfig};
use tokio::io::AsyncReadExt;

/// The largest file of authorities, in bytes: what a ConfigMap can hold.
const AUTHORITIES: u64 = 1 << 20;
/// After what time new connections are made, so that a certificate that was renewed is seen: a connection that is asked for the
/// registry's health every few seconds is never idle for long enough to end.
const CERTIFICATE_SEEN: Duration = Duration::from_secs(600);

/// Why the registry cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The host is malformed.
    #[error("the registry's host is malformed")]
    Host(#[source] EndpointError),
    /// The file of authorities cannot be read.
    #[error("cannot read the registry's authorities at {path}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The authorities cannot be used.
    #[error("the registry's authorities cannot be used")]
    Tls(#[source] TlsError),
}

/// The way to the registry.
#[derive(Debug)]
pub(crate) struct Registry {
    endpoint: Endpoint,
    authority_file: Option<PathBuf>,
    credentials: Arc<dyn CredentialsSource>,
    certificate: Arc<PeerCertificate>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    trust: TrustAnchors,
    /// The transport, or why there is none.
    transport: Result<Arc<DirectTransport>, Arc<RegistryError>>,
}

impl Registry {
    /// Prepares the way. Files that are missing now may come later.
    ///
    /// # Errors
    /// When the host is malformed.
    pub(crate) async fn new(config: &UpstreamConfig) -> Result<Self, RegistryError> {
        let scheme = match config.scheme {
            config::Scheme::Http => Scheme::Http,
            config::Scheme::Https => Scheme::Https,
        };
        let endpoint = Endpoint::new(scheme, &config.host).map_err(RegistryError::Host)?;
        let credentials: Arc<dyn CredentialsSource> = match &config.credentials {
            Some(folder) => Arc::new(CredentialsFolder::new(folder, &config.host)),
            None => Arc::new(FixedCredentials::from(Credentials::Anonymous)),
        };
        let authority_file = config.authority_file.clone();
        let trust = read_trust(authority_file.as_ref()).await;
        let certificate = Arc::default();
        let state = Mutex::new(State::new(trust, &endpoint, &credentials, &certificate));
        Ok(Self { endpoint, authority_file, credentials, certificate, state })
    }

    /// Reads the authorities again; to be called every few seconds. Requests under way go on as they began.
    pub(crate) async fn refresh(&self) {
        let trust = read_trust(self.authority_file.as_ref()).await;
        let mut state = self.lock();
        // A file that cannot be read just now takes nothing away from what was read before.
        let unchanged = match &trust {
            Ok(trust) => state.transport.is_ok() && *trust == state.trust,
            Err(_) => state.transport.is_ok(),
        };
        let is_old = self.certificate.seen().is_some_and(|(time, _)| time.elapsed() > CERTIFICATE_SEEN);
        if !unchanged || (is_old && trust.is_ok()) {
            *state = State::new(trust, &self.endpoint, &self.credentials, &self.certificate);
        }
    }

    /// Returns what knows the certificate that the registry showed last.
    pub(crate) fn certificate(&self) -> Arc<PeerCertificate> {
        Arc::clone(&self.certificate)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(
        trust: Result<TrustAnchors, RegistryError>,
        endpoint: &Endpoint,
        credentials: &Arc<dyn CredentialsSource>,
        certificate: &Arc<PeerCertificate>,
    ) -> Self {
        let made = trust.and_then(|trust| {
            let mut options = DirectOptions::new(endpoint.clone());
            options.trust = trust.clone();
            options.credentials = credentials.clone();
            options.peer = Some(certificate.clone());
            DirectTransport::new(options).map(|transport| (trust, transport)).map_err(RegistryError::Tls)
        });
        match made {
            Ok((trust, transport)) => Self { trust, transport: Ok(Arc::new(transport)) },
            Err(error) => Self { trust: TrustAnchors::System, transport: Err(Arc::new(error)) },
        }
    }
}

/// Takes the host from where an upload goes on, which is always this registry.
pub(super) fn without_host(mut response: Response<Body>, path: &str) -> Response<Body> {
    if let Some(location) = response.headers().get(header::LOCATION)
        && !response.status().is_redirection()
        && let Some(relative) = location.to_str().ok().and_then(|text| super::relative(text, path))
        && let Ok(relative) = HeaderValue::from_str(&relative)
    {
        response.headers_mut().insert(header::LOCATION, relative);
    }
    response
}

async fn read_trust(file: Option<&PathBuf>) -> Result<TrustAnchors, RegistryError> {
    let Some(path) = file else { return Ok(TrustAnchors::System) };
    let failed = |source| RegistryError::Authorities { path: path.clone(), source };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut pem = Vec::new();
    let length = file.take(AUTHORITIES + 1).read_to_end(&mut pem).await.map_err(failed)?;
    if length as u64 > AUTHORITIES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(TrustAnchors::Pem(pem))
}

impl Transport for Registry {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let transport = self.lock().transport.clone();
        Box::pin(async move {
            match transport {
                Ok(transport) => {
                    let path = request.uri().path().to_owned();
                    transport.send(request).await.map(|response| without_host(response, &path))
                }
                Err(error) => Err(TransportError {
                    method: request.method().clone(),
                    path: request.uri().path().into(),
                    hop: "authorities of the registry",
                    transient: false,
                    source: error.into(),
                }),
            }
        })
    }
}
