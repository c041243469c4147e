//! The gate before a registry, over real sockets.

use std::{
    convert::Infallible,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode, header, request::Builder};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use reposure_oci::Digest;
use reposure_surrogate::gate::{GateOptions, RegistryGate};
use reposure_testing::{MemoryRegistry, Options};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use crate::harness::{bytes, no_verification};

/// The cost of the passwords' hashes: as little as bcrypt knows.
const COST: u32 = 4;
/// How long a change of a file may take to be seen: twice as long as the gate waits to look again.
const CHANGE: Duration = Duration::from_secs(10);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A registry, a gate before it, and the files that it reads.
struct Stage {
    registry: MemoryRegistry,
    gate: RegistryGate,
    folder: TempDir,
    client: Client<HttpsConnector<HttpConnector>, Body>,
    scheme: &'static str,
}

impl Stage {
    async fn start() -> Self {
        Self::with(true, COST).await
    }

    async fn with(tls: bool, cost: u32) -> Self {
        let registry = MemoryRegistry::start(Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_certificate(folder.path());
        write_users(folder.path(), "htpasswd", &[("ann", "secret"), ("bob", "secret")], cost);
        write_users(folder.path(), "htpasswd-pull", &[("eve", "secret")], cost);
        let options = GateOptions {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            health: Some("127.0.0.1:0".parse().unwrap()),
            registry_port: registry.address().port(),
            tls: tls.then(|| folder.path().into()),
            users: Some(folder.path().into()),
        };
        let gate = RegistryGate::start(options).await.unwrap();
        let scheme = if tls { "https" } else { "http" };
        Self { registry, gate, folder, client: client(), scheme }
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.gate.address())
    }

    async fn send(&self, request: Builder, body: Body) -> Response<Incoming> {
        self.client.request(request.body(body).unwrap()).await.unwrap()
    }

    async fn request(&self, method: Method, path: &str, user: Option<(&str, &str)>) -> Answer {
        let mut request = Request::builder().method(method).uri(self.url(path));
        if let Some((name, password)) = user {
            request = request.header(header::AUTHORIZATION, basic(name, password));
        }
        let (parts, body) = self.send(request, full("")).await.into_parts();
        Answer { parts, bytes: body.collect().await.unwrap().to_bytes() }
    }

    async fn get(&self, user: Option<(&str, &str)>) -> Answer {
        self.request(Method::GET, "/v2/", user).await
    }

    async fn health(&self, path: &str) -> StatusCode {
        let url = format!("http://{}{path}", self.gate.health_address());
        self.client.request(Request::get(url).body(full("")).unwrap()).await.unwrap().status()
    }

    /// Returns the certificate that a new connection is shown.
    async fn certificate(&self) -> Vec<u8> {
        let stream = TcpStream::connect(self.gate.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(no_verification())).connect(name, stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// Begins an upload by one `PATCH` without a length, and returns what takes its bytes and what brings its answer.
    async fn upload(&self) -> (mpsc::Sender<Bytes>, impl Future<Output = Response<Incoming>> + 'static) {
        let begun = self.request(Method::POST, "/v2/app/blobs/uploads/", Some(("ann", "secret"))).await;
        assert_eq!(begun.parts.status, 202);
        let place = begun.parts.headers[header::LOCATION].to_str().unwrap().to_owned();
        let url = if place.starts_with('/') { self.url(&place) } else { place };
        let (sender, receiver) = mpsc::channel(1);
        let pieces = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|piece| (Ok(Frame::data(piece)), receiver))
        });
        let request = Request::patch(url)
            .header(header::AUTHORIZATION, basic("ann", "secret"))
            .body(StreamBody::new(pieces).boxed_unsync())
            .unwrap();
        let answer = tokio::spawn(self.client.request(request));
        (sender, async { answer.await.unwrap().unwrap() })
    }

    /// Asserts that what was sent by a `PATCH` is there whole.
    async fn assert_uploaded(&self, answer: Response<Incoming>, blob: &[u8]) {
        assert_eq!(answer.status(), 202);
        let place = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
        let digest = Digest::sha256_of(blob).to_string();
        let separator = if place.contains('?') { '&' } else { '?' };
        let path = format!("{place}{separator}digest={digest}");
        assert_eq!(self.request(Method::PUT, &path, Some(("ann", "secret"))).await.parts.status, 201);
        assert_eq!(self.registry.blob("app", &digest).unwrap(), blob);
    }
}

struct Answer {
    parts: http::response::Parts,
    bytes: Bytes,
}

impl Answer {
    fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.bytes).unwrap();
        assert_eq!(self.parts.headers[header::CONTENT_TYPE], "application/json");
        body["errors"][0]["code"].as_str().unwrap().into()
    }
}

fn client() -> Client<HttpsConnector<HttpConnector>, Body> {
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(no_verification())
        .https_or_http()
        .enable_http1()
        .build();
    Client::builder(TokioExecutor::new()).build(connector)
}

fn full(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync()
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn write_users(folder: &Path, file: &str, users: &[(&str, &str)], cost: u32) {
    let line =
        |(name, password): &(&str, &str)| format!("{name}:{}\n", bcrypt::hash(password, cost).unwrap());
    fs::write(folder.join(file), users.iter().map(line).collect::<String>()).unwrap();
}

fn write_certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}

/// Writes another certificate of the same key: whoever trusts the one trusts the other.
fn write_certificate_again(folder: &Path) {
    let key = rcgen::KeyPair::from_pem(&fs::read_to_string(folder.join("tls.key")).unwrap()).unwrap();
    let made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("tls.crt"), made.pem()).unwrap();
}

#[tokio::test]
async fn nobody_comes_in_without_a_password() {
    let stage = Stage::start().await;
    for user in [None, Some(("ann", "wrong")), Some(("ann", "")), Some(("eva", "secret")), Some(("", ""))] {
        let answer = stage.get(user).await;
        assert_eq!((answer.parts.status.as_u16(), answer.code().as_str()), (401, "UNAUTHORIZED"), "{user:?}");
        let challenge = &answer.parts.headers[header::WWW_AUTHENTICATE];
        assert_eq!(challenge, r#"Basic realm="reposure-simple""#);
        assert!(!answer.parts.headers.contains_key("reposure-version"), "it is no surrogate");
    }
    assert_eq!(stage.registry.requests(), []);
    assert_eq!(stage.get(Some(("ann", "secret"))).await.parts.status, 200);
    let [entry] = stage.registry.requests().try_into().unwrap();
    let of = |name: &str| entry.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!((of("authorization"), of("x-forwarded-proto")), (None, Some("https")));
    assert_eq!(of("host"), Some(stage.gate.address().to_string().as_str()));
}

#[tokio::test]
async fn who_may_but_pull_changes_nothing() {
    let stage = Stage::start().await;
    let digest = stage.registry.put_blob("app", "some bytes");
    let (blob, eve) = (format!("/v2/app/blobs/{digest}"), Some(("eve", "secret")));
    let answer = stage.request(Method::GET, &blob, eve).await;
    assert_eq!((answer.parts.status.as_u16(), &answer.bytes[..]), (200, &b"some bytes"[..]));
    let answer = stage.request(Method::HEAD, &blob, eve).await;
    assert_eq!(
        (answer.parts.status.as_u16(), &answer.parts.headers[header::CONTENT_LENGTH]),
        (200, &"10".parse().unwrap())
    );
    for (method, path) in [
        (Method::POST, "/v2/app/blobs/uploads/"),
        (Method::PUT, "/v2/app/manifests/v1"),
        (Method::PATCH, "/v2/app/blobs/uploads/1"),
        (Method::DELETE, &blob),
    ] {
        let answer = stage.request(method, path, eve).await;
        assert_eq!((answer.parts.status.as_u16(), answer.code().as_str()), (403, "DENIED"), "{path}");
    }
    assert!(stage.registry.requests().iter().all(|entry| matches!(entry.method, Method::GET | Method::HEAD)));
    assert!(stage.registry.blob("app", &digest).is_some());
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_breaks_no_upload() {
    let stage = Stage::start().await;
    let (blob, first) = (bytes(1, 3 << 20), stage.certificate().await);
    let (sender, answer) = stage.upload().await;
    let mut pieces = blob.chunks(1 << 20).map(Bytes::copy_from_slice);
    sender.send(pieces.next().unwrap()).await.unwrap();
    write_certificate_again(stage.folder.path());
    let start = Instant::now();
    while stage.certificate().await == first {
        assert!(start.elapsed() < CHANGE, "the old certificate is still shown");
        sleep(Duration::from_millis(100)).await;
    }
    // What cannot be used is not.
    let second = stage.certificate().await;
    fs::write(stage.folder.path().join("tls.key"), "no key").unwrap();
    sender.send(pieces.next().unwrap()).await.unwrap();
    sleep(Duration::from_secs(6)).await;
    assert_eq!(stage.certificate().await, second);
    sender.send(pieces.next().unwrap()).await.unwrap();
    drop(sender);
    stage.assert_uploaded(answer.await, &blob).await;
}

#[tokio::test]
async fn a_new_password_counts_and_the_old_one_for_those_who_stay() {
    let stage = Stage::start().await;
    for user in ["ann", "bob"] {
        assert_eq!(stage.get(Some((user, "secret"))).await.parts.status, 200);
    }
    assert_eq!(stage.get(Some(("ann", "changed"))).await.parts.status, 401);
    write_users(stage.folder.path(), "htpasswd", &[("ann", "changed")], COST);
    fs::remove_file(stage.folder.path().join("htpasswd-pull")).unwrap();
    let start = Instant::now();
    // Refused before, it must not be remembered so.
    while stage.get(Some(("ann", "changed"))).await.parts.status != 200 {
        assert!(start.elapsed() < CHANGE, "the new password is not taken");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(stage.get(Some(("ann", "secret"))).await.parts.status, 200, "surrogates may show it yet");
    for gone in ["bob", "eve"] {
        assert_eq!(stage.get(Some((gone, "secret"))).await.parts.status, 401, "{gone}");
    }
}

#[tokio::test]
async fn wrong_passwords_do_not_pile_up() {
    const GUESSES: usize = 10_000;
    // One check takes some 15 ms: all of them would take more than a minute.
    let stage = Stage::with(false, 8).await;
    assert_eq!(stage.get(Some(("ann", "secret"))).await.parts.status, 200);
    let start = Instant::now();
    let guesses = stream::iter(0..GUESSES).map(|guess| {
        let stage = &stage;
        async move { stage.get(Some(("ann", &guess.to_string()))).await }
    });
    let guessing = guesses.buffer_unordered(200).fold((0, 0), |(wrong, later), answer| async move {
        match answer.parts.status.as_u16() {
            401 => (wrong + 1, later),
            429 if answer.parts.headers.contains_key(header::RETRY_AFTER) => (wrong, later + 1),
            other => panic!("{other}"),
        }
    });
    let knowing = async {
        for _ in 0..20 {
            let asked = Instant::now();
            assert_eq!(stage.get(Some(("ann", "secret"))).await.parts.status, 200);
            assert!(asked.elapsed() < Duration::from_secs(3), "who is known waits for those who guess");
            sleep(Duration::from_millis(50)).await;
        }
    };
    let ((wrong, later), ()) = tokio::join!(guessing, knowing);
    assert_eq!(wrong + later, GUESSES);
    assert!(later > GUESSES / 2, "{later} of them were told to come later");
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    assert_eq!(stage.registry.requests().len(), 21);
}

#[tokio::test]
async fn a_registry_that_is_away_is_said_to_be() {
    let mut stage = Stage::start().await;
    assert_eq!(
        (stage.health("/ready").await, stage.health("/alive").await),
        (StatusCode::OK, StatusCode::OK)
    );
    assert_eq!(stage.health("/v2/").await, 404);
    let other = MemoryRegistry::start(Options::default()).await.unwrap();
    drop(std::mem::replace(&mut stage.registry, other));
    let answer = stage.get(Some(("ann", "secret"))).await;
    assert_eq!((answer.parts.status.as_u16(), answer.code().as_str()), (502, "UNAVAILABLE"));
    assert_eq!((stage.health("/ready").await.as_u16(), stage.health("/alive").await.as_u16()), (503, 200));
}

#[tokio::test]
async fn an_upload_under_way_is_finished_before_the_end() {
    let stage = Stage::start().await;
    let blob = bytes(2, 2 << 20);
    let (sender, answer) = stage.upload().await;
    sender.send(Bytes::copy_from_slice(&blob[..1 << 20])).await.unwrap();
    while stage.registry.received() < 1 << 20 {
        sleep(Duration::from_millis(20)).await;
    }
    let (address, health) = (stage.gate.address(), stage.gate.health_address());
    let Stage { registry, gate, client, .. } = stage;
    let stopping = tokio::spawn(gate.stop());
    while TcpStream::connect(address).await.is_ok() {
        sleep(Duration::from_millis(20)).await;
    }
    let ready = Request::get(format!("http://{health}/ready")).body(full("")).unwrap();
    assert_eq!(client.request(ready).await.unwrap().status(), 503);
    assert!(!stopping.is_finished());
    sender.send(Bytes::copy_from_slice(&blob[1 << 20..])).await.unwrap();
    drop(sender);
    assert_eq!(answer.await.status(), 202);
    timeout(Duration::from_secs(5), stopping).await.unwrap().unwrap();
    assert_eq!(registry.received(), 2 << 20);
}

#[tokio::test]
async fn who_waits_to_be_asked_for_a_body_is_asked_only_with_a_password() {
    let stage = Stage::with(false, COST).await;
    for (password, expected) in [("secret", "HTTP/1.1 100 "), ("wrong", "HTTP/1.1 401 ")] {
        let mut stream = TcpStream::connect(stage.gate.address()).await.unwrap();
        let head = format!(
            "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
            basic("ann", password)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; expected.len()];
        timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_gate_without_its_files_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let options = |tls, users| GateOptions {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        health: Some("127.0.0.1:0".parse().unwrap()),
        registry_port: 1,
        tls,
        users,
    };
    let path = || Some(folder.path().to_owned());
    assert!(RegistryGate::start(options(path(), None)).await.is_err());
    assert!(RegistryGate::start(options(None, path())).await.is_err());
    fs::write(folder.path().join("htpasswd"), "").unwrap();
    assert!(
        RegistryGate::start(options(None, path())).await.is_ok(),
        "nobody may come in, which is a choice"
    );
}
