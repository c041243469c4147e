//! Sending blobs.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use reposure_oci::{
    Body, Digest,
    registry::{Failure, Limits, Mount},
};
use reposure_testing::{DigestHeader, Fault, Injection, LocationForm};

use crate::fixture::{Fixture, SHORT, content, failure, limits, name, streamed};

async fn upload(fixture: &Fixture, size: usize) -> Result<Digest, reposure_oci::registry::Error> {
    let (bytes, digest) = content(size);
    fixture.client.upload_monolithic(&name("a"), &digest, size as u64, streamed(&bytes, 7000)).await
}

#[tokio::test]
async fn a_blob_goes_by_one_put() {
    for location in [LocationForm::Relative, LocationForm::Absolute, LocationForm::OtherScheme] {
        let fixture = Fixture::with_quirks(|quirks| quirks.location = location).await;
        for size in [0, 1, 100_000] {
            let digest = upload(&fixture, size).await.unwrap();
            assert_eq!(fixture.registry.blob("a", &digest.to_string()).unwrap(), content(size).0);
        }
        assert_eq!(fixture.registry.count(&Method::PUT, "/blobs/uploads/"), 3);
        let put = fixture.registry.requests().into_iter().rfind(|entry| entry.method == Method::PUT).unwrap();
        assert!(put.headers.contains(&("content-length".into(), "100000".into())));
        assert!(put.headers.contains(&("accept-encoding".into(), "identity".into())));
    }
}

#[tokio::test]
async fn nothing_is_sent_to_another_host() {
    let other = Fixture::new().await;
    let foreign = LocationForm::OtherHost(other.registry.url());
    let fixture = Fixture::with_quirks(|quirks| quirks.location = foreign).await;
    assert!(matches!(failure(upload(&fixture, 10).await), Failure::ForeignLocation(_)));
    assert!(other.registry.requests().is_empty());
}

#[tokio::test]
async fn only_what_the_registry_confirms_is_stored() {
    let fixture = Fixture::with_quirks(|quirks| quirks.digest_header = DigestHeader::Wrong).await;
    assert!(matches!(failure(upload(&fixture, 10).await), Failure::Digest { .. }));
    fixture.registry.change_quirks(|quirks| quirks.digest_header = DigestHeader::Absent);
    upload(&fixture, 10).await.unwrap();
    assert_eq!(fixture.registry.count(&Method::HEAD, "/blobs/"), 1);
    let lie = Fault::status(201);
    fixture.registry.inject(Injection::next(Method::PUT, "/uploads/", lie));
    let lost = upload(&fixture, 20).await;
    assert!(matches!(failure(lost), Failure::Size { expected: 20, actual: None }));
    fixture.registry.inject(Injection::next(Method::PUT, "/uploads/", Fault::status(202)));
    assert_eq!(upload(&fixture, 20).await.unwrap_err().status().unwrap(), 202);
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused() {
    let fixture = Fixture::new().await;
    let (bytes, _) = content(10);
    let (_, other) = content(11);
    let error =
        fixture.client.upload_monolithic(&name("a"), &other, 10, streamed(&bytes, 3)).await.unwrap_err();
    assert!(error.has_code(&reposure_oci::registry::ErrorCode::DigestInvalid));
}

#[tokio::test]
async fn a_body_must_have_its_size() {
    let fixture = Fixture::new().await;
    let (bytes, digest) = content(10_000);
    for size in [9_999, 10_001] {
        let result =
            fixture.client.upload_monolithic(&name("a"), &digest, size, streamed(&bytes, 1000)).await;
        assert!(result.is_err(), "{size}");
    }
    assert_eq!(fixture.registry.blob("a", &digest.to_string()), None);
}

#[tokio::test]
async fn a_refused_size_is_told() {
    let fixture = Fixture::with_quirks(|quirks| quirks.body_limit = Some(1 << 20)).await;
    let error = upload(&fixture, 2 << 20).await.unwrap_err();
    assert!(error.is_too_large() && !error.is_transient(), "{error}: {}", error.failure);
}

#[tokio::test]
async fn a_cut_is_transient_and_not_tried_again() {
    let fixture = Fixture::new().await;
    fixture.registry.inject(Injection::next(Method::PUT, "/uploads/", Fault::DropAfter(1 << 16)));
    let error = upload(&fixture, 4 << 20).await.unwrap_err();
    assert!(error.is_transient(), "{error}: {:?}", error.failure);
    assert_eq!(fixture.registry.count(&Method::PUT, "/uploads/"), 1);
}

#[tokio::test]
async fn a_slow_registry_is_waited_for_but_not_a_silent_one() {
    let fixture = Fixture::new().await.with_limits(Limits { stall: SHORT, ..limits() });
    fixture.registry.change_quirks(|quirks| quirks.drain_rate = Some(4 << 20));
    upload(&fixture, 12 << 20).await.unwrap();
    let fixture = fixture.with_limits(Limits { store: SHORT, ..limits() });
    fixture.registry.inject(Injection::next(Method::PUT, "/uploads/", Fault::Stall));
    assert!(matches!(failure(upload(&fixture, 10).await), Failure::Timeout(_)));
}

#[tokio::test]
async fn a_body_may_come_slowly() {
    let short = Limits { stall: SHORT, store: SHORT, ..limits() };
    let fixture = Fixture::new().await.with_limits(short);
    let (bytes, digest) = content(3);
    let slow = futures::stream::unfold(0, move |index| {
        let bytes = bytes.clone();
        async move {
            tokio::time::sleep(SHORT * 3 / 4).await;
            (index < 3).then(|| (Ok(http_body::Frame::data(bytes.slice(index..=index))), index + 1))
        }
    });
    let body: Body = http_body_util::StreamBody::new(slow).boxed_unsync();
    fixture.client.upload_monolithic(&name("a"), &digest, 3, body).await.unwrap();
}

#[tokio::test]
async fn a_blob_of_unknown_digest_goes_by_one_patch() {
    let fixture = Fixture::new().await;
    let (client, repository) = (&fixture.client, name("a"));
    let (bytes, digest) = content(100_000);
    let mut session = client.start_upload(&repository).await.unwrap();
    assert_eq!(client.patch_stream(&mut session, streamed(&bytes, 7000)).await.unwrap(), 100_000);
    assert_eq!(session.offset(), 100_000);
    client.finish_upload(session, &digest, 100_000).await.unwrap();
    assert_eq!(fixture.registry.blob("a", &digest.to_string()).unwrap(), bytes);
    let patch = fixture.registry.requests().into_iter().find(|entry| entry.method == Method::PATCH).unwrap();
    assert!(!patch.headers.iter().any(|(name, _)| name == "content-range" || name == "content-length"));
}

async fn chunks(fixture: &Fixture, chunks: &[Bytes]) -> Result<(), reposure_oci::registry::Error> {
    let mut session = fixture.client.start_upload(&name("a")).await?;
    for chunk in chunks {
        fixture.client.patch_chunk(&mut session, chunk.clone()).await?;
    }
    let bytes: Vec<u8> = chunks.concat();
    fixture.client.finish_upload(session, &Digest::sha256_of(&bytes), bytes.len() as u64).await.map(|_| ())
}

#[tokio::test]
async fn chunks_are_counted() {
    let parts = [Bytes::from("a"), Bytes::from("bcd"), Bytes::from("efghi")];
    let fixture = Fixture::new().await;
    chunks(&fixture, &parts).await.unwrap();
    fixture.registry.change_quirks(|quirks| quirks.drop_later_patches = true);
    let dropped = failure(chunks(&fixture, &parts).await);
    assert!(matches!(dropped, Failure::Received { sent: 4, received: 1 }), "{dropped}");
}

#[tokio::test]
async fn an_upload_goes_on_after_a_cut() {
    let fixture = Fixture::new().await;
    let (client, repository) = (&fixture.client, name("a"));
    let (bytes, digest) = content(4 << 20);
    let mut session = client.start_upload(&repository).await.unwrap();
    assert_eq!(client.upload_status(&mut session).await.unwrap(), 0);
    fixture.registry.inject(Injection::next(Method::PATCH, "/uploads/", Fault::DropAfter(1 << 20)));
    client.patch_stream(&mut session, streamed(&bytes, 1 << 16)).await.unwrap_err();
    let received = client.upload_status(&mut session).await.unwrap();
    assert!((1 << 20..4 << 20).contains(&received), "{received}");
    let rest = bytes.slice(usize::try_from(received).unwrap()..);
    client.patch_stream(&mut session, streamed(&rest, 1 << 16)).await.unwrap();
    client.finish_upload(session, &digest, 4 << 20).await.unwrap();
}

#[tokio::test]
async fn one_byte_or_none_is_not_guessed() {
    let fixture = Fixture::new().await;
    let mut session = fixture.client.start_upload(&name("a")).await.unwrap();
    fixture.registry.inject(Injection::next(Method::PATCH, "/uploads/", Fault::DropAfter(0)));
    fixture.client.patch_stream(&mut session, streamed(&content(10).0, 1)).await.unwrap_err();
    let status = fixture.client.upload_status(&mut session).await;
    assert!(matches!(failure(status), Failure::AmbiguousOffset));
}

#[tokio::test]
async fn an_upload_that_is_forgotten_is_not_found() {
    let fixture = Fixture::with_quirks(|quirks| quirks.stale_status_refused = true).await;
    let mut session = fixture.client.start_upload(&name("a")).await.unwrap();
    fixture.registry.inject(Injection::next(Method::PATCH, "/uploads/", Fault::DropAfter(1)));
    fixture.client.patch_stream(&mut session, streamed(&content(1000).0, 100)).await.unwrap_err();
    assert!(fixture.client.upload_status(&mut session).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn an_upload_is_given_up() {
    let fixture = Fixture::new().await;
    let session = fixture.client.start_upload(&name("a")).await.unwrap();
    assert_eq!(fixture.registry.open_uploads(), 1);
    fixture.client.cancel_upload(session).await.unwrap();
    assert_eq!(fixture.registry.open_uploads(), 0);
}

#[tokio::test]
async fn a_blob_is_mounted_or_an_upload_opened() {
    let fixture = Fixture::new().await;
    let (bytes, digest) = content(10);
    fixture.registry.put_blob("from/b", bytes.clone());
    let mounted = fixture.client.mount(&name("a"), &digest, &name("from/b")).await.unwrap();
    assert!(matches!(mounted, Mount::Mounted));
    assert_eq!(fixture.registry.blob("a", &digest.to_string()), Some(bytes.clone()));
    fixture.registry.change_quirks(|quirks| quirks.mount = false);
    let Mount::Open(session) = fixture.client.mount(&name("c"), &digest, &name("a")).await.unwrap() else {
        panic!("mounted")
    };
    assert!(!format!("{session:?}").contains("_state"));
    fixture.client.cancel_upload(session).await.unwrap();
}
