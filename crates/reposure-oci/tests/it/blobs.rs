//! Reading blobs.

use http::Method;
use http_body_util::BodyExt;
use reposure_oci::{
    Digest,
    registry::{Failure, Limits},
};
use reposure_testing::{Fault, Injection};

use crate::fixture::{Fixture, SHORT, content, failure, limits, name};

#[tokio::test]
async fn ranges_are_read() {
    let fixture = Fixture::new().await;
    let (bytes, digest) = content(1000);
    fixture.registry.put_blob("a", bytes.clone());
    let (client, repository) = (&fixture.client, name("a"));
    assert_eq!(client.head_blob(&repository, &digest).await.unwrap(), Some(1000));
    for range in [0..1000, 0..1, 10..20, 999..1000] {
        let stream = client.get_blob_range(&repository, &digest, range.clone()).await.unwrap();
        assert_eq!(stream.total, Some(1000));
        let part = bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
        assert_eq!(stream.body.collect().await.unwrap().to_bytes(), part);
    }
    let beyond = client.get_blob_range(&repository, &digest, 10..1001).await;
    assert!(matches!(failure(beyond), Failure::Range { .. }));
}

#[tokio::test]
async fn an_empty_blob_is_read() {
    let fixture = Fixture::new().await;
    fixture.registry.put_blob("a", "");
    let stream = fixture.client.get_blob_range(&name("a"), &Digest::sha256_of(""), 0..0).await.unwrap();
    assert!(stream.body.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_range_that_is_ignored_is_cut_out() {
    let fixture = Fixture::with_quirks(|quirks| quirks.ignore_range = true).await;
    let (bytes, digest) = content(1000);
    fixture.registry.put_blob("a", bytes.clone());
    for range in [0..1000, 0..999, 1..1000, 500..501] {
        let wanted = bytes.slice(range.clone());
        let range = range.start as u64..range.end as u64;
        let part = fixture.client.get_blob_range(&name("a"), &digest, range.clone()).await.unwrap();
        assert_eq!(part.total, Some(1000));
        assert_eq!(part.body.collect().await.unwrap().to_bytes(), wanted);
        assert_eq!(fixture.client.read_blob_range(&name("a"), &digest, range).await.unwrap(), wanted);
    }
    let beyond = fixture.client.get_blob_range(&name("a"), &digest, 10..1001).await;
    assert!(matches!(failure(beyond), Failure::Range { .. }));
}

#[tokio::test]
async fn a_cut_or_a_stall_is_an_error() {
    let short = Limits { stall: SHORT, ..limits() };
    let fixture = Fixture::new().await.with_limits(short);
    let (bytes, digest) = content(1 << 20);
    fixture.registry.put_blob("a", bytes);
    for fault in [Fault::Truncate(1000), Fault::StallBody(1000)] {
        fixture.registry.inject(Injection::next(Method::GET, "/blobs/", fault));
        let stream = fixture.client.get_blob_range(&name("a"), &digest, 0..1 << 20).await.unwrap();
        assert!(stream.body.collect().await.is_err());
    }
}

#[tokio::test]
async fn small_blobs_are_verified() {
    let fixture = Fixture::new().await;
    let (bytes, digest) = content(100);
    fixture.registry.put_blob("a", bytes.clone());
    let (client, repository) = (&fixture.client, name("a"));
    assert_eq!(client.get_blob(&repository, &digest, 100).await.unwrap(), bytes);
    assert!(matches!(failure(client.get_blob(&repository, &digest, 99).await), Failure::TooLarge(99)));
    let answer = Fault::Answer { status: 200, headers: Vec::new(), body: "other".into() };
    fixture.registry.inject(Injection::next(Method::GET, "/blobs/", answer));
    assert!(matches!(failure(client.get_blob(&repository, &digest, 100).await), Failure::Digest { .. }));
}
