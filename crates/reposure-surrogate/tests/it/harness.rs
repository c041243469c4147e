//! A registry, a surrogate before it, and a client of the surrogate.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reposure_oci::Digest;
use reposure_parcel::{
    config::{Access, Config, Kind, Scheme, UploadStrategy, UpstreamConfig},
    problem::{Code, Problem},
    upload::{Commit, Open, Progress},
    wire,
};
use reposure_surrogate::Surrogate;
use reposure_testing::{Entry, MemoryRegistry, Options};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::{Serialize, de::DeserializeOwned};

/// The size of the chunks that tests send: small, so that blobs need not be large.
pub(crate) const CHUNK: usize = 1 << 20;
/// The repository that tests push to.
pub(crate) const REPOSITORY: &str = "some/app";

/// A registry with a surrogate before it.
pub(crate) struct Stage {
    pub(crate) registry: MemoryRegistry,
    pub(crate) surrogate: Surrogate,
    pub(crate) client: SurrogateClient,
}

/// A client of a surrogate, which may be cloned for another connection pool's sake.
#[derive(Clone)]
pub(crate) struct SurrogateClient {
    pub(crate) base: String,
    pub(crate) token: Option<String>,
    pub(crate) client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Stage {
    /// Starts a registry and a surrogate that lets everyone in.
    pub(crate) async fn start() -> Self {
        Self::with_options(Options::default()).await
    }

    /// Ends the surrogate without grace and starts another one, which knows nothing of the first.
    pub(crate) async fn replace_surrogate(&mut self) {
        let config = config(&self.registry.host(), Access::Loopback);
        self.surrogate = Surrogate::start(config).await.unwrap();
        self.client = SurrogateClient::new(&self.surrogate);
    }

    pub(crate) async fn with_options(options: Options) -> Self {
        Self::with(options, |_| {}).await
    }

    pub(crate) async fn with(options: Options, change: impl FnOnce(&mut Config)) -> Self {
        let registry = MemoryRegistry::start(options).await.unwrap();
        let mut config = config(&registry.host(), Access::Loopback);
        change(&mut config);
        let surrogate = Surrogate::start(config).await.unwrap();
        let client = SurrogateClient::new(&surrogate);
        Self { registry, surrogate, client }
    }
}

/// Returns the configuration of a surrogate on loopback.
pub(crate) fn config(host: &str, access: Access) -> Config {
    Config {
        namespace: "ns".into(),
        registry: "reg".into(),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        status_listen: (Ipv4Addr::LOCALHOST, 0).into(),
        upstream: UpstreamConfig {
            host: host.into(),
            image_host: None,
            scheme: Scheme::Http,
            authority_file: None,
            credentials: None::<PathBuf>,
            upload: UploadStrategy::Auto,
            kind: Kind::Distribution,
            realm: None,
        },
        access,
        session_socket: None,
        pod_uid_file: None,
    }
}

impl SurrogateClient {
    pub(crate) fn new(surrogate: &Surrogate) -> Self {
        Self::at(surrogate.address())
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(no_verification())
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { base: format!("https://{address}"), token: None, client }
    }

    pub(crate) async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let mut request = request.body(Full::new(body.into())).unwrap();
        *request.uri_mut() = format!("{}{}", self.base, request.uri()).parse().unwrap();
        if let Some(token) = &self.token {
            request.headers_mut().insert(wire::TOKEN_HEADER, token.parse().unwrap());
        }
        let response = self.client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(parts.headers.get(wire::VERSION_HEADER).unwrap(), "1");
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), "").await
    }

    pub(crate) async fn post<T: Serialize>(&self, path: &str, message: &T) -> Answer {
        self.send(Request::post(path), serde_json::to_vec(message).unwrap()).await
    }

    pub(crate) async fn method(&self, method: Method, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path), "").await
    }

    /// Opens an upload of a blob that is not there.
    pub(crate) async fn open(&self, blob: &[u8]) -> Progress {
        let answer = self.post(wire::UPLOADS, &open(blob)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    pub(crate) async fn put(&self, id: &str, offset: usize, bytes: &[u8]) -> Answer {
        let path = format!("{}/{id}/{offset}", wire::UPLOADS);
        self.send(Request::put(path), Bytes::copy_from_slice(bytes)).await
    }

    pub(crate) async fn progress(&self, id: &str) -> Answer {
        self.get(&format!("{}/{id}", wire::UPLOADS)).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Answer {
        self.method(Method::POST, &format!("{}/{id}/cancel", wire::UPLOADS)).await
    }

    /// Commits, as often as the surrogate says that it is not done yet.
    pub(crate) async fn commit(&self, id: &str, digest: &Digest, size: usize) -> Answer {
        self.commit_as(id, Commit { digest: digest.clone(), size: size as u64, early: false }).await
    }

    /// Commits, and asks again until there is an answer.
    pub(crate) async fn commit_as(&self, id: &str, message: Commit) -> Answer {
        loop {
            let answer = self.post(&format!("{}/{id}/commit", wire::UPLOADS), &message).await;
            if answer.status != 202 {
                return answer;
            }
        }
    }
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the problem, which must be the surrogate's own, with the status that belongs to it.
    pub(crate) fn problem(&self) -> Problem {
        assert!(self.headers.contains_key(wire::PROBLEM_HEADER), "{self:?}");
        let problem: Problem = self.json();
        assert_eq!(self.status.as_u16(), problem.code.status(), "{problem:?}");
        problem
    }

    pub(crate) fn code(&self) -> Code {
        self.problem().code
    }
}

/// Waits until it is so; the test's own time limit ends it.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns the message that opens an upload of a blob.
pub(crate) fn open(blob: &[u8]) -> Open {
    Open {
        repository: REPOSITORY.parse().unwrap(),
        digest: Some(Digest::sha256_of(blob)),
        size: Some(blob.len() as u64),
        key: None,
        from: Vec::new(),
        resume: None,
    }
}

/// Tells whether a request sends what the registry is asked by whether it checks digests.
pub(crate) fn is_question(entry: &Entry) -> bool {
    let digest = Digest::sha256_of("reposure has found a registry that does not check digests");
    entry.query.contains(digest.hex())
}

/// Returns bytes that look random, others for each seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

/// Returns the configuration of a client that takes any certificate, as the API server does.
pub(crate) fn no_verification() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth()
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
