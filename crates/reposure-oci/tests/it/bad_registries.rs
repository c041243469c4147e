//! Registries that break off, lie, or never end: each request gives an error that names its URL, in bounded time and memory,
//! and no push leaves a tag without all that belongs to it.

use std::{
    error::Error,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Method, Request, Response, header};
use reposure_oci::{
    Body, Digest, DirectOptions, DirectTransport, Endpoint, ImageName, Scheme, Spool, Transport,
    TransportError, archive,
    registry::{self, Client, Failure, Limits},
    remote::fetch,
    sink::write_artifact,
    transfer::{Progress, PushOptions, push},
    transport::full,
};
use reposure_testing::{Fault, Injection, RandomImage, RawAnswer, RawServer};

use crate::fixture::{Fixture, content, limits, manifest, name, streamed};

/// As long as any of these may take; what goes on forever is to be cut off long before.
const DEADLINE: Duration = Duration::from_secs(60);

/// So short that a busy machine may take even what is right for silent; that is an error like others.
fn short(attempts: u32) -> Limits {
    let wait = Duration::from_millis(300);
    Limits { call: wait, stall: wait, store: wait, attempts, ..limits() }
}

fn text(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ping,
    HeadManifest,
    GetManifest,
    PutManifest,
    DeleteManifest,
    HeadBlob,
    GetBlob,
    ReadBlob,
    Mount,
    Upload,
    Tags,
    Catalog,
}

const KINDS: [Kind; 12] = [
    Kind::Ping,
    Kind::HeadManifest,
    Kind::GetManifest,
    Kind::PutManifest,
    Kind::DeleteManifest,
    Kind::HeadBlob,
    Kind::GetBlob,
    Kind::ReadBlob,
    Kind::Mount,
    Kind::Upload,
    Kind::Tags,
    Kind::Catalog,
];

async fn ask(client: &Client<DirectTransport>, kind: Kind) -> Result<(), registry::Error> {
    let (repository, tag) = (name("a"), "v1".parse().unwrap());
    let (bytes, digest) = content(200_000);
    let size = bytes.len() as u64;
    match kind {
        Kind::Ping => client.ping().await.map(drop),
        Kind::HeadManifest => client.head_manifest(&repository, &tag).await.map(drop),
        Kind::GetManifest => client.get_manifest(&repository, &tag).await.map(drop),
        Kind::PutManifest => {
            let manifest = manifest(&RandomImage::new(1, 1, 10).unwrap());
            client.put_manifest(&repository, &tag, &manifest).await.map(drop)
        }
        Kind::DeleteManifest => client.delete_manifest(&repository, &tag).await,
        Kind::HeadBlob => client.head_blob(&repository, &digest).await.map(drop),
        Kind::GetBlob => client.get_blob(&repository, &digest, bytes.len()).await.map(drop),
        Kind::ReadBlob => client.read_blob_range(&repository, &digest, 0..size).await.map(drop),
        Kind::Mount => client.mount(&repository, &digest, &name("b")).await.map(drop),
        Kind::Upload => {
            let body = streamed(&bytes, 1 << 16);
            client.upload_monolithic(&repository, &digest, size, body).await.map(drop)
        }
        Kind::Tags => client.tags(&repository).await.map(drop),
        Kind::Catalog => client.catalog().await.map(drop),
    }
}

fn once(text: &str) -> RawAnswer {
    RawAnswer { start: text.into(), forever: Vec::new() }
}

fn forever(start: &str, forever: &str) -> RawAnswer {
    RawAnswer { start: start.into(), forever: forever.repeat(1000).into() }
}

/// Answers that are none, and whether they are whole for a `HEAD`, whose answers have no body.
fn answers() -> Vec<(&'static str, RawAnswer, bool)> {
    let page = "<html><title>Some Proxy</title></html>";
    let page =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    let again = "HTTP/1.1 302 Found\r\nlocation: /v2/again\r\ncontent-length: 0\r\n\r\n";
    vec![
        ("before the headers", once(""), false),
        ("in the headers", once("HTTP/1.1 200 OK\r\ncontent-le"), false),
        ("in the body", once("HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{\"ta"), true),
        ("before the end", once("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"), false),
        ("no HTTP", once("220 ready\r\n"), false),
        ("a web page", once(&page), true),
        ("a redirect to itself", once(again), false),
        ("headers without end", forever("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n"), false),
        (
            "a body without end",
            forever("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", " "),
            false,
        ),
        ("nothing but announcements", forever("", "HTTP/1.1 100 Continue\r\n\r\n"), false),
    ]
}

#[tokio::test]
async fn each_request_fails_with_its_url() {
    for (what, answer, whole_head) in answers() {
        let server = RawServer::start(answer).await.unwrap();
        let options = DirectOptions::new(Endpoint::new(Scheme::Http, &server.host()).unwrap());
        let client = Client::with_limits(DirectTransport::new(options).unwrap(), short(1));
        for kind in KINDS {
            let asked = tokio::time::timeout(DEADLINE, ask(&client, kind)).await;
            let asked = asked.unwrap_or_else(|_| panic!("{kind:?} with {what} does not end"));
            if whole_head && kind == Kind::HeadBlob {
                continue;
            }
            let Err(error) = asked else { panic!("{kind:?} with {what} is taken for an answer") };
            let error = text(&error);
            assert!(error.contains(&server.host()) && error.contains("/v2/"), "{kind:?}, {what}: {error}");
        }
    }
}

/// Lists new names forever.
struct Pages(AtomicUsize);

impl Transport for Pages {
    fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let page = self.0.fetch_add(1, Ordering::Relaxed);
        let answer = Response::builder()
            .header(header::LINK, format!("</v2/_catalog?last=r{page}>; rel=\"next\""))
            .body(full(format!("{{\"repositories\": [\"r{page}\"]}}")));
        Box::pin(std::future::ready(Ok(answer.unwrap())))
    }
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let client = Client::new(Pages(AtomicUsize::new(0)));
    let error = client.catalog().await.unwrap_err();
    assert!(matches!(*error.failure, Failure::Endless(1000)), "{error:?}");
    assert_eq!(client.transport().0.load(Ordering::Relaxed), 1000);
}

fn faults() -> Vec<Fault> {
    let lie = Digest::sha256_of("lie").to_string();
    let lie = |status| Fault::Answer {
        status,
        headers: vec![("docker-content-digest".into(), lie.clone()), ("location".into(), "/v2/x".into())],
        body: "lie".into(),
    };
    vec![
        Fault::html(200),
        Fault::html(502),
        Fault::code(403, "DENIED"),
        Fault::status(500),
        Fault::DropAfter(0),
        Fault::DropAfter(100),
        Fault::DropAnswer,
        Fault::Truncate(1),
        Fault::Endless,
        lie(200),
        lie(201),
        lie(202),
    ]
}

#[tokio::test]
async fn a_push_puts_the_right_image_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.tar");
    let image = RandomImage::new(1, 2, 10_000).unwrap();
    image.write_oci_archive("v1", std::fs::File::create(&path).unwrap()).unwrap();
    let options = archive::Options::new(Spool::new(folder.path(), 1 << 20));
    let artifact = archive::open(path, options).await.unwrap().entries.remove(0).artifact;
    let requests = [
        (Method::HEAD, "/blobs/"),
        (Method::POST, "/blobs/uploads/"),
        (Method::PUT, "/blobs/uploads/"),
        (Method::PUT, "/manifests/"),
    ];
    let fixture = Fixture::new().await.with_limits(short(2));
    let mut number = 0;
    for (method, path) in requests {
        for (fault, times) in faults().into_iter().flat_map(|fault| [(fault.clone(), 1), (fault, 1000)]) {
            number += 1;
            let repository = format!("a{number}");
            let case = format!("{method} {path} {fault:?} {times}");
            fixture.registry.inject(Injection {
                method: Some(method.clone()),
                path: path.into(),
                skip: 0,
                times,
                fault,
            });
            let name: ImageName = format!("{repository}:v1").parse().unwrap();
            let options = PushOptions::default();
            let pushed = push(&fixture.client, &artifact, &name, &options, Progress::none()).await;
            fixture.registry.heal();
            if pushed.is_ok() || fixture.registry.tags(&repository) == ["v1"] {
                check_whole(&fixture, &repository, &image);
            } else {
                assert!(fixture.registry.tags(&repository).is_empty(), "{case}");
            }
            if let Err(error) = pushed {
                let error = text(&error);
                let host = fixture.registry.host();
                assert!(error.contains(&host) && error.contains("/v2/"), "{case}: {error}");
            }
        }
    }
}

/// The tag has all that belongs to it.
fn check_whole(fixture: &Fixture, repository: &str, image: &RandomImage) {
    assert_eq!(fixture.registry.manifest(repository, "v1").as_ref(), Some(image.manifest()));
    for blob in image.blobs() {
        let digest = Digest::sha256_of(&blob).to_string();
        assert_eq!(fixture.registry.blob(repository, &digest), Some(blob));
    }
}

#[tokio::test]
async fn an_image_is_read_as_it_is_or_not_at_all() {
    let whole = Fixture::new().await;
    let digest = whole.put_image("a", "v1", 1);
    let name = ImageName { repository: name("a"), reference: reposure_oci::Reference::Digest(digest) };
    let artifact = fetch(&whole.client, &name, None).await.unwrap();
    let right = write_artifact(&artifact, Vec::new(), Vec::new()).await.unwrap();
    let fixture = Fixture::new().await.with_limits(short(2));
    fixture.put_image("a", "v1", 1);
    for path in ["/manifests/", "/blobs/"] {
        for (fault, times) in faults().into_iter().flat_map(|fault| [(fault.clone(), 1), (fault, 1000)]) {
            let case = format!("{path} {fault:?} {times}");
            let (method, path) = (Some(Method::GET), path.into());
            fixture.registry.inject(Injection { method, path, skip: 0, times, fault });
            let read = async {
                let artifact = fetch(&fixture.client, &name, None).await.map_err(|error| text(&error))?;
                write_artifact(&artifact, Vec::new(), Vec::new()).await.map_err(|error| text(&error))
            };
            match read.await {
                Ok(bytes) => assert!(bytes == right, "{case}"),
                Err(error) => assert!(error.contains(&fixture.registry.host()), "{case}: {error}"),
            }
            fixture.registry.heal();
        }
    }
}
