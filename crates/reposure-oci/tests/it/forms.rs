//! In which form a push sends large blobs, and what it does after a cut.

use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use reposure_oci::{
    Artifact, Body, Digest, DirectTransport, Spool, Transport, TransportError, archive,
    registry::{Client, UploadStrategy},
    transfer::{Event, Progress, PushError, PushOptions, push},
};
use reposure_testing::{Fault, Injection, Quirks, RandomImage};

use crate::fixture::{Fixture, limits};

/// More than a chunk has.
const SIZE: usize = 24 << 20;
/// Where a PUT is cut: near its end, or so that more than a chunk is left.
const LATE: u64 = 20 << 20;
const EARLY: u64 = 4 << 20;

/// A registry at a host of a name that is known.
#[derive(Clone, Debug)]
struct Named {
    transport: DirectTransport,
    host: &'static str,
}

impl Transport for Named {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        self.transport.send(request)
    }

    fn host(&self) -> Option<&str> {
        Some(self.host)
    }
}

fn named(fixture: &Fixture, host: &'static str) -> Client<Named> {
    Client::with_limits(Named { transport: fixture.client.transport().clone(), host }, limits())
}

fn sample() -> RandomImage {
    RandomImage::of_sizes(1, &[SIZE]).unwrap()
}

/// An image with one large layer, from an archive that is open for as long as it.
pub(crate) async fn artifact(image: &RandomImage) -> Artifact {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.tar");
    image.write_oci_archive("v1", std::fs::File::create(&path).unwrap()).unwrap();
    let options = archive::Options::new(Spool::new(folder.path(), 1 << 20));
    archive::open(path, options).await.unwrap().entries.remove(0).artifact
}

fn cut(fixture: &Fixture, method: Method, after: u64) {
    // The first upload is the layer's; beside it goes the question whether the registry checks digests.
    fixture.registry.inject(Injection::next(method, "/blobs/uploads/upload-1", Fault::DropAfter(after)));
}

/// Pushes an image with one large layer, and returns how often something failed, and how often the layer began anew.
async fn push_by<T: Transport + Clone + 'static>(
    fixture: &Fixture,
    client: &Client<T>,
    options: &PushOptions,
) -> Result<(usize, usize), PushError> {
    let image = sample();
    let (progress, mut events) = Progress::channel();
    let name = "a:v1".parse().unwrap();
    push(client, &artifact(&image).await, &name, options, progress).await?;
    let layer = &image.layers()[0].gzip;
    let digest = Digest::sha256_of(layer).to_string();
    assert!(fixture.registry.blob("a", &digest).as_ref() == Some(layer), "other bytes are there");
    assert_eq!(fixture.registry.open_uploads(), 0);
    let events: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    let count = |is_counted: fn(&&Event) -> bool| events.iter().filter(is_counted).count();
    let failures = count(|event| matches!(event, Event::Retrying { .. }));
    Ok((failures, count(|event| matches!(event, Event::Restarted { .. }))))
}

fn alone() -> PushOptions {
    // The layer goes before the configuration, so that it meets what is injected.
    PushOptions { blobs: 1, ..PushOptions::default() }
}

#[tokio::test]
async fn a_cut_costs_a_chunk_where_the_registry_tells_what_came() {
    let fixture = Fixture::new().await;
    cut(&fixture, Method::PUT, LATE);
    cut(&fixture, Method::PATCH, 1 << 20);
    assert_eq!(push_by(&fixture, &fixture.client, &alone()).await.unwrap(), (2, 0));
    let received = fixture.registry.received();
    assert!(received < (SIZE + (2 << 20)) as u64, "{received} bytes were taken of {SIZE}");
}

#[tokio::test]
async fn a_cut_costs_the_blob_where_the_registry_forgets_it_or_takes_no_chunks() {
    for quirks in [Quirks::distribution_2(), Quirks::ecr(), Quirks::artifact_registry(), Quirks::ghcr()] {
        let fixture = Fixture::with_quirks(|own| *own = quirks.clone()).await;
        fixture.registry.make_repository("a");
        cut(&fixture, Method::PUT, EARLY);
        assert_eq!(push_by(&fixture, &fixture.client, &alone()).await.unwrap(), (1, 1), "{quirks:?}");
        assert!(fixture.registry.received() > SIZE as u64 + EARLY);
    }
}

#[tokio::test]
async fn a_registry_that_is_known_to_take_no_chunks_gets_none() {
    let fixture = Fixture::new().await;
    cut(&fixture, Method::PUT, LATE);
    let client = named(&fixture, "1.dkr.ecr.eu-west-1.amazonaws.com");
    assert_eq!(push_by(&fixture, &client, &alone()).await.unwrap(), (1, 1));
    assert_eq!(fixture.registry.count(&Method::PATCH, ""), 0);
}

#[tokio::test]
async fn a_form_that_is_wished_stays() {
    let fixture = Fixture::new().await;
    cut(&fixture, Method::PUT, LATE);
    let options = PushOptions { strategy: Some(UploadStrategy::Monolithic), ..alone() };
    assert_eq!(push_by(&fixture, &fixture.client, &options).await.unwrap(), (1, 1));
    assert_eq!(fixture.registry.count(&Method::PATCH, ""), 0);
}

#[tokio::test]
async fn azure_is_sent_nothing_that_is_too_large_for_it() {
    let fixture = Fixture::with_quirks(|quirks| quirks.body_limit = Some(20 << 20)).await;
    let client = named(&fixture, "mine.azurecr.io");
    assert_eq!(push_by(&fixture, &client, &PushOptions::default()).await.unwrap(), (0, 0));
    let refused = fixture
        .registry
        .requests()
        .into_iter()
        .filter(|entry| entry.status.is_some_and(|status| status == StatusCode::PAYLOAD_TOO_LARGE));
    assert_eq!(refused.count(), 0);
    // The layer alone is large.
    assert_eq!(fixture.registry.count(&Method::PATCH, "/blobs/uploads/"), 2);
}
