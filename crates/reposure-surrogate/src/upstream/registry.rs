//! The way to the registry, made anew when the authorities that are trusted change. Those before are trusted for a while, since the registry may
//! learn of the change later.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use reposure_oci::{
    auth::{Credentials, CredentialsFolder, CredentialsSource, FixedCredentials},
    direct::{ClientIdentity, DirectOptions, DirectTransport, PeerCertificate, TlsError, TrustAnchors},
    endpoint::{Endpoint, EndpointError, Scheme},
    transport::{Body, Transport, TransportError},
};
use reposure_parcel::config::{self, UpstreamConfig};
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::io::AsyncReadExt;
use url::Url;

use super::authorities::Authorities;

/// The largest file of certificates, in bytes: what a ConfigMap or a Secret can hold.
const LARGEST: u64 = 1 << 20;
/// After what time new connections are made, so that a certificate that was renewed is seen: a connection that is asked for the
/// registry's health every few seconds is never idle for long enough to end.
const CERTIFICATE_SEEN: Duration = Duration::from_secs(600);

/// Why the registry cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The host is malformed.
    #[error("the registry's host is malformed")]
    Host(#[source] EndpointError),
    /// The URL where tokens are fetched is malformed.
    #[error("the URL where the registry's tokens are fetched is malformed")]
    Realm(#[source] url::ParseError),
    /// A file of certificates, or of the key to one, cannot be read.
    #[error("cannot read the registry's certificates at {path}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The authorities, or the certificate for the registry, cannot be used.
    #[error("the registry's authorities, or the certificate for it, cannot be used")]
    Tls(#[source] TlsError),
}

/// The way to the registry.
#[derive(Debug)]
pub(crate) struct Registry {
    endpoint: Endpoint,
    realm: Option<Url>,
    authority_file: Option<PathBuf>,
    credentials_folder: Option<PathBuf>,
    credentials: Arc<dyn CredentialsSource>,
    certificate: Arc<PeerCertificate>,
    state: Mutex<State>,
}

/// What files say of TLS.
#[derive(Clone, Debug, Default, PartialEq)]
struct Material {
    trust: TrustAnchors,
    /// The certificate that is shown to the registry.
    identity: Option<ClientIdentity>,
}

#[derive(Debug)]
struct State {
    material: Material,
    before: Authorities,
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
            Some(folder) => {
                let names = [Some(&config.host), config.image_host.as_ref()];
                Arc::new(CredentialsFolder::new(folder, names.into_iter().flatten()))
            }
            None => Arc::new(FixedCredentials::from(Credentials::Anonymous)),
        };
        let realm = config.realm.as_deref().map(Url::parse).transpose().map_err(RegistryError::Realm)?;
        let authority_file = config.authority_file.clone();
        let credentials_folder = config.credentials.clone();
        let material = read(authority_file.as_deref(), credentials_folder.as_deref()).await;
        let certificate = Arc::default();
        let before = Authorities::default();
        let state = State::new(material, before, &endpoint, realm.as_ref(), &credentials, &certificate);
        let state = Mutex::new(state);
        Ok(Self { endpoint, realm, authority_file, credentials_folder, credentials, certificate, state })
    }

    /// Reads the certificates again; to be called every few seconds. Requests under way go on as they began.
    pub(crate) async fn refresh(&self) {
        let read = read(self.authority_file.as_deref(), self.credentials_folder.as_deref()).await;
        self.take(read, Instant::now());
    }

    fn take(&self, read: Result<Material, RegistryError>, now: Instant) {
        let mut state = self.lock();
        let is_well = state.transport.is_ok();
        let mut before = state.before.clone();
        let has_forgotten = before.forget(now);
        if let Ok(material) = &read {
            before.follow(&state.material.trust, &material.trust, now);
        }
        // A file that cannot be read just now takes nothing away from what was read before.
        let unchanged = match &read {
            Ok(material) => is_well && *material == state.material,
            Err(_) => is_well,
        };
        let is_old = self.certificate.seen().is_some_and(|(time, _)| time.elapsed() > CERTIFICATE_SEEN);
        if !unchanged || ((is_old || has_forgotten) && read.is_ok()) {
            let (realm, certificate) = (self.realm.as_ref(), &self.certificate);
            let new = State::new(read, before, &self.endpoint, realm, &self.credentials, certificate);
            // Nor does a certificate whose key is not there yet.
            if new.transport.is_ok() || !is_well {
                *state = new;
            }
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
        material: Result<Material, RegistryError>,
        before: Authorities,
        endpoint: &Endpoint,
        realm: Option<&Url>,
        credentials: &Arc<dyn CredentialsSource>,
        certificate: &Arc<PeerCertificate>,
    ) -> Self {
        let made = material.and_then(|material| {
            let mut options = DirectOptions::new(endpoint.clone());
            options.trust = before.beside(&material.trust);
            options.identity.clone_from(&material.identity);
            options.realm = realm.cloned();
            options.credentials = credentials.clone();
            options.peer = Some(certificate.clone());
            DirectTransport::new(options).map(|transport| (material, transport)).map_err(RegistryError::Tls)
        });
        match made {
            Ok((material, transport)) => Self { material, before, transport: Ok(Arc::new(transport)) },
            Err(error) => Self { material: Material::default(), before, transport: Err(Arc::new(error)) },
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

async fn read(authority: Option<&Path>, folder: Option<&Path>) -> Result<Material, RegistryError> {
    let trust = match authority {
        Some(path) => TrustAnchors::Pem(read_file(path).await?),
        None => TrustAnchors::System,
    };
    Ok(Material { trust, identity: read_identity(folder).await? })
}

/// Reads the keys of a Secret of type `kubernetes.io/tls`; one of another type has none.
async fn read_identity(folder: Option<&Path>) -> Result<Option<ClientIdentity>, RegistryError> {
    let Some(folder) = folder else { return Ok(None) };
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    if !tokio::fs::try_exists(&key).await.unwrap_or_default() {
        return Ok(None);
    }
    let certificate = read_file(&certificate).await?;
    let key: SecretSlice<u8> = read_file(&key).await?.into();
    let identity = ClientIdentity::from_pem(&certificate, key.expose_secret());
    identity.map(Some).map_err(RegistryError::Tls)
}

async fn read_file(path: &Path) -> Result<Vec<u8>, RegistryError> {
    let failed = |source| RegistryError::Certificates { path: path.into(), source };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut pem = Vec::new();
    let length = file.take(LARGEST + 1).read_to_end(&mut pem).await.map_err(failed)?;
    if length as u64 > LARGEST {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(pem)
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

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty};
    use reposure_parcel::config::{Kind, UploadStrategy};
    use reposure_testing::{MemoryRegistry, Options};

    use super::*;

    /// Tells whether a registry answers.
    async fn answers(way: &Registry) -> bool {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        way.send(Request::get("/v2/").body(body).unwrap()).await.is_ok()
    }

    #[tokio::test]
    async fn a_registry_that_learns_of_another_authority_late_is_trusted_until_then() {
        let start = || MemoryRegistry::start(Options { tls: true, ..Options::default() });
        let (registry, other) = (start().await.unwrap(), start().await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, registry.authority().unwrap()).unwrap();
        let config = UpstreamConfig {
            host: registry.host(),
            image_host: None,
            scheme: config::Scheme::Https,
            authority_file: Some(file.clone()),
            credentials: None,
            upload: UploadStrategy::Auto,
            kind: Kind::Distribution,
            realm: None,
        };
        let way = Registry::new(&config).await.unwrap();
        assert!(answers(&way).await);
        std::fs::write(&file, other.authority().unwrap()).unwrap();
        let (now, again) = (Instant::now(), async || read(Some(&file), None).await);
        way.take(again().await, now);
        assert!(answers(&way).await, "it may show what the authority before has signed");
        way.take(again().await, now + Duration::from_secs(200));
        assert!(answers(&way).await);
        way.take(again().await, now + Duration::from_secs(240));
        assert!(!answers(&way).await, "it is trusted for good");
        assert!(
            !answers(&Registry::new(&config).await.unwrap()).await,
            "whoever comes later knows nothing of it"
        );
    }

    #[tokio::test]
    async fn a_secret_for_tls_is_shown_to_the_registry_and_changes_with_its_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(None, Some(folder.path())).await.unwrap(), Material::default());
        let write = || {
            let made = rcgen::generate_simple_self_signed(vec!["client".to_owned()]).unwrap();
            std::fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
            std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        };
        write();
        let first = read(None, Some(folder.path())).await.unwrap();
        assert!(first.identity.is_some());
        assert_eq!(read(None, Some(folder.path())).await.unwrap(), first);
        write();
        assert_ne!(read(None, Some(folder.path())).await.unwrap(), first);
        std::fs::write(folder.path().join("tls.key"), "no key").unwrap();
        assert!(matches!(read(None, Some(folder.path())).await, Err(RegistryError::Tls(_))));
    }
}
