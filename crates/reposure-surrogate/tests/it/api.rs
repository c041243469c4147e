//! Hello, status, and questions for blobs.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use reposure_oci::Digest;
use reposure_parcel::{
    config::{Access, Scheme},
    exists::{Exists, Missing},
    hello::Hello,
    limits, probe,
    problem::Code,
    status::{Reason, Status},
    storage::Storage,
    wire::{self, Right},
};
use reposure_surrogate::{StartError, Surrogate};
use reposure_testing::{Fault, Injection, MemoryRegistry, Options};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{REPOSITORY, Stage, bytes, config};

/// Asks the status port in plain HTTP.
async fn plain(stage: &Stage, path: &str) -> String {
    let mut stream = TcpStream::connect(stage.surrogate.status_address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn status(stage: &Stage) -> Status {
    let answer = plain(stage, wire::STATUS).await;
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn says_hello_and_how_the_registry_is() {
    let stage = Stage::start().await;
    let hello: Hello = loop {
        let hello: Hello = stage.client.get(wire::HELLO).await.json();
        if hello.upstream.reachable {
            break hello;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((hello.namespace.as_str(), hello.registry.as_str()), ("ns", "reg"));
    assert_eq!((hello.right, hello.versions), (Right::Admin, (1, 1)));
    assert_eq!(hello.upstream.host, stage.registry.host());
    assert_eq!(hello.limits.open_uploads, limits::OPEN_UPLOADS);
    let status = status(&stage).await;
    assert_eq!((status.registry.reason, status.keys.reason), (Reason::Ok, Reason::Ok));
    assert_eq!(status.connections, 1, "the client's connection was used again");
}

#[tokio::test]
async fn the_status_port_says_why_the_registry_is_away_and_serves_nothing_else() {
    let stage = Stage::start().await;
    let away = Surrogate::start(config("127.0.0.1:1", Access::Loopback)).await.unwrap();
    let stage = Stage { surrogate: away, ..stage };
    while status(&stage).await.registry.reason == Reason::Pending {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status(&stage).await.registry.reason, Reason::ConnectionRefused);
    assert!(plain(&stage, wire::ALIVE).await.starts_with("HTTP/1.1 200"));
    let metrics = plain(&stage, wire::METRICS).await;
    assert!(metrics.contains("\nreposure_surrogate_registry_up 0\n"), "{metrics}");
    for path in ["/", "/v2/", wire::HELLO, wire::UPLOADS] {
        let answer = plain(&stage, path).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("reposure-version: 1"), "{answer}");
    }
}

#[tokio::test]
async fn the_status_port_says_until_when_the_registrys_certificate_is_good() {
    let registry = MemoryRegistry::start(Options { tls: true, ..Options::default() }).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let authority = files.path().join("ca.crt");
    for (trusted, reason) in [(true, Reason::Ok), (false, Reason::CertificateUntrusted)] {
        let mut config = config(&registry.host(), Access::Loopback);
        config.upstream.scheme = Scheme::Https;
        config.upstream.authority_file = Some(authority.clone());
        let other = MemoryRegistry::start(Options { tls: true, ..Options::default() }).await.unwrap();
        let signer = if trusted { &registry } else { &other };
        std::fs::write(&authority, signer.authority().unwrap()).unwrap();
        let stage = Stage { surrogate: Surrogate::start(config).await.unwrap(), ..Stage::start().await };
        while status(&stage).await.registry.reason == Reason::Pending {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let status = status(&stage).await;
        assert_eq!(status.registry.reason, reason);
        // What cannot be trusted is told of too: why may be its time.
        let certificate = status.certificate.unwrap();
        assert!(certificate.not_before < certificate.not_after, "{certificate:?}");
    }
    assert_eq!(status(&Stage::start().await).await.certificate, None, "no TLS, no certificate");
}

#[tokio::test]
async fn a_registry_that_asks_for_a_certificate_is_shown_that_of_the_secret() {
    let options = Options { tls: true, client_certificate: true, ..Options::default() };
    let registry = MemoryRegistry::start(options).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(files.path().join(name), text).unwrap();
    write("ca.crt", registry.authority().unwrap());
    let mut config = config(&registry.host(), Access::Loopback);
    config.upstream.scheme = Scheme::Https;
    config.upstream.authority_file = Some(files.path().join("ca.crt"));
    config.upstream.credentials = Some(files.path().into());
    for shown in [false, true] {
        if shown {
            let [certificate, key] = registry.client_certificate().unwrap();
            write("tls.crt", certificate);
            write("tls.key", key);
        }
        let surrogate = Surrogate::start(config.clone()).await.unwrap();
        let stage = Stage { surrogate, ..Stage::start().await };
        while status(&stage).await.registry.reason == Reason::Pending {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(status(&stage).await.registry.reason == Reason::Ok, shown);
    }
}

#[tokio::test]
async fn finds_what_is_missing() {
    let stage = Stage::start().await;
    let there: Vec<Digest> =
        (0..40).map(|seed| stage.registry.put_blob(REPOSITORY, bytes(seed, 100)).parse().unwrap()).collect();
    let away: Vec<Digest> = (0..40).map(|seed: u64| Digest::sha256_of(seed.to_string())).collect();
    let digests = there.iter().zip(&away).flat_map(|(one, other)| [one.clone(), other.clone()]).collect();
    let wish = Exists { repository: REPOSITORY.parse().unwrap(), digests, uploads: 0 };
    let answer = stage.client.post(wire::EXISTS, &wish).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json::<Missing>().missing, away);
    assert_eq!(stage.registry.count(&Method::HEAD, "/blobs/"), 80);

    let digests = vec![away[0].clone(); limits::EXISTS_DIGESTS + 1];
    let answer = stage.client.post(wire::EXISTS, &Exists { digests, ..wish }).await;
    assert!(matches!(answer.code(), Code::TooLarge), "{answer:?}");
}

#[tokio::test]
async fn refuses_what_is_no_message() {
    let stage = Stage::start().await;
    for body in
        ["", "{}", "[]", r#"{"repository":"../x","digests":[]}"#, r#"{"repository":"a","digests":["md5:0"]}"#]
    {
        let answer = stage.client.send(http::Request::post(wire::EXISTS), body).await;
        assert_eq!(answer.code(), Code::BadRequest, "{body}");
    }
    let answer =
        stage.client.send(http::Request::post(wire::EXISTS), vec![b' '; limits::JSON_BODY + 1]).await;
    assert_eq!(answer.code(), Code::TooLarge);
    assert_eq!(stage.client.get("/reposure/v1/nothing").await.code(), Code::NotFound);
    assert_eq!(stage.client.get(&format!("{}/{:032x}", wire::RESULTS, 5)).await.code(), Code::NotFound);
}

#[tokio::test]
async fn lets_nobody_in_without_a_token_but_on_loopback() {
    let mut open = config("127.0.0.1:1", Access::Loopback);
    open.status_listen = ([0, 0, 0, 0], 0).into();
    assert!(matches!(Surrogate::start(open).await, Err(StartError::Access(_))));
}

#[tokio::test]
async fn ends_with_grace_once_uploads_are_done() {
    let stage = Stage::start().await;
    let (blob, digest) = (bytes(1, 1000), Digest::sha256_of(bytes(1, 1000)));
    let opened = stage.client.open(&blob).await;
    let (client, address) = (stage.client.clone(), stage.surrogate.address());
    let stopping = tokio::spawn(stage.surrogate.stop());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client.post(wire::UPLOADS, &crate::harness::open(b"other")).await.code(), Code::Ending);
    assert_eq!(client.put(&opened.id, 0, &blob).await.status, 200);
    assert_eq!(client.commit(&opened.id, &digest, blob.len()).await.status, 201);
    stopping.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn ends_without_grace_when_it_is_dropped() {
    let stage = Stage::start().await;
    stage.client.open(b"never sent").await;
    let mut idle = crate::gateway::tls(&stage).await;
    drop(stage.surrogate);
    let mut rest = Vec::new();
    // An orderly end or a cut: an end.
    let _ = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test]
async fn bytes_that_mean_nothing_go_either_way() {
    let stage = Stage::start().await;
    let answer = stage.client.get(&probe::path(200_000)).await;
    assert_eq!((answer.status, answer.bytes.len()), (StatusCode::OK, 200_000));
    assert_ne!(answer.bytes[..1000], answer.bytes[1000..2000], "they could be compressed");
    let put = |length| stage.client.send(Request::put(wire::PROBE), vec![0; length]);
    assert_eq!(put(200_000).await.status, StatusCode::NO_CONTENT);
    assert_eq!(stage.client.get(&probe::path(probe::LIMIT + 1)).await.code(), Code::TooLarge);
    assert_eq!(put(usize::try_from(probe::LIMIT).unwrap() + 1).await.code(), Code::TooLarge);
    assert!(stage.registry.requests().iter().all(|request| !request.path.contains("probe")));
}

#[tokio::test]
async fn whether_the_registry_can_store_is_tried_without_a_trace() {
    let stage = Stage::start().await;
    let ask =
        async || stage.client.post(wire::STORAGE, &Storage { repository: "a/b".parse().unwrap() }).await;
    assert_eq!(ask().await.status, StatusCode::NO_CONTENT);
    let sent: Vec<u64> = stage.registry.requests().iter().map(|entry| entry.received).collect();
    assert_eq!(sent.iter().sum::<u64>(), 64 << 10);
    for (method, fault, code) in [
        (Method::PATCH, Fault::status(507), Code::UpstreamRefused),
        (Method::POST, Fault::code(405, "UNSUPPORTED"), Code::UpstreamRefused),
        (Method::POST, Fault::code(403, "DENIED"), Code::UpstreamDenied),
    ] {
        stage.registry.inject(Injection::next(method, "/blobs/uploads/", fault.clone()));
        let answer = ask().await;
        assert_eq!(answer.code(), code, "{fault:?}");
    }
    assert_eq!(stage.registry.open_uploads(), 0);
}
