//! The registry's own API through the surrogate.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request};
use reposure_parcel::{limits, problem::Code, wire};
use reposure_testing::{Auth, Fault, Injection, LocationForm, MemoryRegistry, Options, Users};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::harness::{CHUNK, REPOSITORY, Stage, SurrogateClient, bytes, config, no_verification};

/// Connects to the surrogate, to send what no client would.
pub(crate) async fn tls(stage: &Stage) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(stage.surrogate.address()).await.unwrap();
    let name = ServerName::try_from("reg").unwrap();
    TlsConnector::from(Arc::new(no_verification())).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let stage = Stage::start().await;
    let mut stream = tls(&stage).await;
    // A head that never ends is none.
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok() && rest.is_empty(), "{closed:?}");
}

async fn raw(stage: &Stage, head: &str) -> String {
    let mut stream = tls(stage).await;
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The other side may close without saying so in TLS.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn passes_bytes_both_ways() {
    let stage = Stage::start().await;
    let blob = bytes(1, 5 * CHUNK + 3);
    let digest = stage.registry.put_blob(REPOSITORY, blob.clone());
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let answer = stage.client.get(&path).await;
    assert!(answer.status == 200 && answer.bytes == blob);
    let part = stage.client.send(Request::get(&path).header("range", "bytes=100-199"), "").await;
    assert!(part.status == 206 && part.bytes == blob[100..200]);
    let head = stage.client.method(Method::HEAD, &path).await;
    assert_eq!((head.status.as_u16(), head.headers["content-length"].to_str().unwrap()), (200, "5242883"));
    assert!(head.bytes.is_empty());

    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = r#"{"schemaVersion":2}"#;
    stage.registry.change_quirks(|quirks| quirks.sparse = true);
    let put = Request::put(format!("/v2/{REPOSITORY}/manifests/v1.2")).header("content-type", media_type);
    assert_eq!(stage.client.send(put, manifest).await.status, 201);
    assert_eq!(stage.registry.manifest(REPOSITORY, "v1.2").unwrap(), manifest);
    let answer = stage.client.method(Method::DELETE, &format!("/v2/{REPOSITORY}/manifests/v1.2")).await;
    assert_eq!(answer.status, 202);
    assert!(!answer.headers.contains_key(wire::RESULT_HEADER));
}

#[tokio::test]
async fn the_registrys_own_errors_pass_and_its_denials_do_not() {
    let stage = Stage::start().await;
    let answer = stage.client.get("/v2/no/such/manifests/latest").await;
    assert_eq!(answer.status, 404);
    assert!(!answer.headers.contains_key(wire::PROBLEM_HEADER));
    for (status, code) in
        [(401, Code::UpstreamDenied), (403, Code::UpstreamDenied), (413, Code::UpstreamRefused)]
    {
        stage.registry.inject(Injection::next(Method::GET, "/tags/list", Fault::html(status)));
        let answer = stage.client.get("/v2/a/tags/list").await;
        assert_eq!((answer.code(), answer.problem().upstream_status), (code, Some(status)));
        assert_eq!(answer.headers[wire::UPSTREAM_STATUS_HEADER], status.to_string());
    }
    stage.registry.inject(Injection::next(Method::GET, "/tags/list", Fault::html(502)));
    let answer = stage.client.get("/v2/a/tags/list").await;
    assert_eq!(
        (answer.status.as_u16(), answer.headers["content-type"].to_str().unwrap()),
        (502, "application/octet-stream")
    );
    stage.registry.inject(Injection::next(Method::GET, "/tags/list", Fault::DropAnswer));
    stage.registry.inject(Injection::next(Method::GET, "/tags/list", Fault::DropAnswer));
    let answer = stage.client.get("/v2/a/tags/list").await;
    assert!(answer.code() == Code::UpstreamUnreachable && answer.problem().transient, "{answer:?}");
}

#[tokio::test]
async fn references_lose_the_registrys_host() {
    let stage = Stage::start().await;
    for form in
        [LocationForm::Absolute, LocationForm::OtherScheme, LocationForm::OtherHost("http://else:1".into())]
    {
        stage.registry.change_quirks(|quirks| quirks.location = form);
        let answer = stage.client.method(Method::POST, "/v2/a/blobs/uploads/").await;
        let location = answer.headers["location"].to_str().unwrap();
        assert!(answer.status == 202 && location.starts_with("/v2/a/blobs/uploads/"), "{location}");
    }
    for seed in 0..3 {
        stage.registry.put_manifest("a", Some(&format!("v{seed}")), "application/json", "{}");
    }
    stage.registry.change_quirks(|quirks| (quirks.page, quirks.link_other_host) = (1, true));
    let answer = stage.client.get("/v2/a/tags/list?n=1").await;
    let link = answer.headers["link"].to_str().unwrap();
    assert!(link.starts_with("</v2/a/tags/list?") && link.ends_with("rel=\"next\""), "{link}");
}

#[tokio::test]
async fn reaches_nothing_but_the_registrys_api() {
    let stage = Stage::start().await;
    let before = stage.registry.requests().iter().filter(|entry| entry.path != "/v2/").count();
    for target in [
        "/v2/../metrics",
        "/v2/a/../../metrics",
        "/v2/%2e%2e/metrics",
        "/v2/a%2fb/tags/list",
        "/v2//a/tags/list",
        "/v2/a\\b",
        "/v2",
        "/metrics",
        "//v2/a",
        "http://127.0.0.1:1/v2/a/tags/list",
        "http://127.0.0.1:1/reposure/v1/hello",
        "*",
    ] {
        let answer = raw(&stage, &format!("GET {target} HTTP/1.1\r\nhost: x")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 404"),
            "{target}: {answer}"
        );
    }
    let answer = raw(&stage, "CONNECT 127.0.0.1:1 HTTP/1.1\r\nhost: x").await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    let after = stage.registry.requests().iter().filter(|entry| entry.path != "/v2/").count();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_request_has_one_length() {
    let stage = Stage::start().await;
    let head = "GET /v2/ HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6";
    let answer = raw(&stage, head).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    // The chunked form counts, and what comes behind is no request of its own.
    let mut stream = tls(&stage).await;
    let head = "PUT /v2/a/manifests/x HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\nconnection: close";
    stream.write_all(format!("{head}\r\n\r\n5\r\nhello\r\n0\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    for entry in stage.registry.requests().iter().filter(|entry| entry.path.contains("manifests")) {
        assert_eq!(entry.received, 5);
        assert!(!entry.headers.contains(&("content-length".into(), "4".into())), "{entry:?}");
    }
}

#[tokio::test]
async fn the_registry_sees_the_surrogates_credentials_and_not_the_clients() {
    let users = Users::new("ann", "hush");
    let auth = Auth::bearer(users);
    let registry = MemoryRegistry::start(Options { auth, ..Options::default() }).await.unwrap();
    let digest = registry.put_blob("a", "content");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("username"), "ann").unwrap();
    std::fs::write(folder.path().join("password"), "hush").unwrap();
    let mut config = config(&registry.host(), reposure_parcel::config::Access::Loopback);
    config.upstream.credentials = Some(folder.path().into());
    let surrogate = reposure_surrogate::Surrogate::start(config).await.unwrap();
    let client = SurrogateClient::new(&surrogate);
    let request = Request::get(format!("/v2/a/blobs/{digest}"))
        .header("authorization", "Basic bm86bm8=")
        .header(wire::TOKEN_HEADER, "secret")
        .header("x-forwarded-for", "1.2.3.4");
    let answer = client.send(request, "").await;
    assert_eq!((answer.status.as_u16(), answer.bytes.as_ref()), (200, b"content".as_ref()));
    assert_eq!(client.method(Method::POST, "/v2/a/blobs/uploads/").await.status, 202);
    for entry in registry.requests() {
        let names: Vec<&str> = entry.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert!(
            !names.iter().any(|name| name.starts_with("reposure-") || name.starts_with("x-forwarded")),
            "{names:?}"
        );
    }
}

#[tokio::test]
async fn a_slow_answer_comes_later_to_who_understands_it() {
    let stage = Stage::start().await;
    let manifest = format!(r#"{{"schemaVersion":2,"padding":"{}"}}"#, "x".repeat(4000));
    stage.registry.change_quirks(|quirks| {
        quirks.sparse = true;
        // Some ten seconds for the manifest.
        quirks.drain_rate = Some(400);
    });
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let put = |tag: &str| Request::put(format!("/v2/a/manifests/{tag}")).header("content-type", media_type);
    let start = Instant::now();
    let patient = stage.client.send(put("patient"), manifest.clone());
    let hasty = stage.client.send(put("hasty").header(wire::ASYNC_HEADER, "1"), manifest.clone());
    let later = async {
        let answer = hasty.await;
        assert_eq!(answer.status, 202);
        assert!((limits::SILENCE..limits::SILENCE * 2).contains(&start.elapsed()));
        let result = answer.headers[wire::RESULT_HEADER].to_str().unwrap();
        stage.client.get(&format!("{}/{result}", wire::RESULTS)).await
    };
    let (patient, later) = tokio::join!(patient, later);
    assert_eq!((patient.status.as_u16(), later.status.as_u16()), (201, 201));
    assert_eq!(later.headers["location"], patient.headers["location"]);
    assert!(stage.registry.tags("a").len() == 2);
}
