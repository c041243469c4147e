//! Blobs from a source into a registry, in each form.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt;
use reposure_oci::{
    Blob, BlobError, Descriptor, Digest, MediaType, MemoryBlob,
    registry::{Error, Failure, Stored, UploadStrategy},
};
use reposure_testing::{AnonymousMount, DigestHeader, Fault, Injection};

use crate::fixture::{Fixture, content, failure, name};

const MONOLITHIC: UploadStrategy = UploadStrategy::Monolithic;
const IN_CHUNKS: UploadStrategy = UploadStrategy::Resumable { chunk: 1 << 20 };
const SIZE: usize = (3 << 20) + 17;

pub(crate) fn blob(size: usize) -> Arc<dyn Blob> {
    let (bytes, digest) = content(size);
    Arc::new(MemoryBlob::new(Descriptor::new(MediaType::OCTET_STREAM, digest, size as u64), bytes))
}

async fn store(fixture: &Fixture, strategy: UploadStrategy) -> Result<Stored, Error> {
    fixture.client.store_blob(&name("a"), &blob(SIZE), &[], strategy).await
}

fn is_there(fixture: &Fixture) -> bool {
    let (bytes, digest) = content(SIZE);
    fixture.registry.blob("a", &digest.to_string()) == Some(bytes)
}

fn patches(fixture: &Fixture) -> usize {
    fixture.registry.count(&Method::PATCH, "/uploads/")
}

#[tokio::test]
async fn each_form_is_sent_and_what_is_there_is_not() {
    for (strategy, count) in [(MONOLITHIC, 0), (UploadStrategy::StreamPatch, 1), (IN_CHUNKS, 4)] {
        let fixture = Fixture::new().await;
        assert_eq!(store(&fixture, strategy).await.unwrap(), Stored::Sent(strategy));
        assert!(is_there(&fixture));
        assert_eq!(patches(&fixture), count);
        assert_eq!(store(&fixture, strategy).await.unwrap(), Stored::Existed);
        assert_eq!(fixture.registry.open_uploads(), 0);
    }
}

#[tokio::test]
async fn the_form_is_found_out() {
    let fixture = Fixture::new().await;
    let found = fixture.client.detect_strategy(&name("a")).await.unwrap();
    assert!(matches!(found, UploadStrategy::Resumable { .. }), "{found:?}");
    fixture.registry.change_quirks(|quirks| quirks.smallest_chunk = Some(32 << 20));
    let found = fixture.client.detect_strategy(&name("a")).await.unwrap();
    assert_eq!(found, UploadStrategy::Resumable { chunk: 32 << 20 });
    fixture.registry.change_quirks(|quirks| quirks.status_needs_state = true);
    assert_eq!(fixture.client.detect_strategy(&name("a")).await.unwrap(), MONOLITHIC);
    assert_eq!(fixture.registry.open_uploads(), 0);
}

#[tokio::test]
async fn chunks_are_as_large_as_the_registry_wants() {
    let fixture = Fixture::with_quirks(|quirks| quirks.smallest_chunk = Some(2 << 20)).await;
    store(&fixture, IN_CHUNKS).await.unwrap();
    assert!(is_there(&fixture));
    assert_eq!(patches(&fixture), 2);
}

#[tokio::test]
async fn a_blob_is_mounted_from_where_it_is() {
    let fixture = Fixture::new().await;
    let (bytes, _) = content(SIZE);
    fixture.registry.put_blob("c", bytes);
    let from = [name("b"), name("a"), name("c")];
    let stored = fixture.client.store_blob(&name("a"), &blob(SIZE), &from[2..], MONOLITHIC).await.unwrap();
    assert_eq!(stored, Stored::Mounted);
    // The first repository lacks it; what the registry opened instead is gone on with.
    let posts = fixture.registry.count(&Method::POST, "/d/");
    let stored = fixture.client.store_blob(&name("d"), &blob(SIZE), &from, MONOLITHIC).await.unwrap();
    assert_eq!(stored, Stored::Sent(MONOLITHIC));
    assert_eq!(fixture.registry.count(&Method::POST, "/d/"), posts + 1);
    for (mount, stored) in
        [(AnonymousMount::Mounts, Stored::Mounted), (AnonymousMount::Refused, Stored::Sent(MONOLITHIC))]
    {
        fixture.registry.change_quirks(|quirks| quirks.anonymous_mount = mount);
        let repository = name(if stored == Stored::Mounted { "e" } else { "f" });
        let done = fixture.client.store_blob(&repository, &blob(SIZE), &[], MONOLITHIC).await.unwrap();
        assert_eq!(done, stored);
    }
}

#[tokio::test]
async fn chunks_go_on_after_a_cut() {
    for fault in [Fault::DropAfter(1 << 16), Fault::DropAnswer, Fault::status(503)] {
        let fixture = Fixture::new().await;
        fixture
            .registry
            .inject(Injection { skip: 1, ..Injection::next(Method::PATCH, "/uploads/", fault.clone()) });
        assert_eq!(store(&fixture, IN_CHUNKS).await.unwrap(), Stored::Sent(IN_CHUNKS), "{fault:?}");
        assert!(is_there(&fixture));
        assert!(fixture.registry.received() < SIZE as u64 + (2 << 20), "only the chunk is sent again");
    }
}

#[tokio::test]
async fn one_put_is_sent_again_after_a_cut() {
    let fixture = Fixture::new().await;
    fixture.registry.inject(Injection::next(Method::PUT, "/uploads/", Fault::DropAfter(1 << 20)));
    assert_eq!(store(&fixture, MONOLITHIC).await.unwrap(), Stored::Sent(MONOLITHIC));
    assert!(is_there(&fixture));
}

#[tokio::test]
async fn what_is_there_although_its_answer_was_lost_is_not_sent_again() {
    let fixture = Fixture::new().await;
    fixture.registry.inject(Injection::next(Method::PUT, "/uploads/", Fault::DropAnswer));
    assert_eq!(store(&fixture, MONOLITHIC).await.unwrap(), Stored::Sent(MONOLITHIC));
    assert!(is_there(&fixture));
    assert_eq!(fixture.registry.count(&Method::PUT, "/uploads/"), 1);
}

#[tokio::test]
async fn a_source_that_holds_other_bytes_is_found_out_before_its_end() {
    for (size, said) in [(SIZE, "other"), (0, "something")] {
        let (bytes, _) = content(size);
        let lie = Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(said), size as u64);
        let blob: Arc<dyn Blob> = Arc::new(MemoryBlob::new(lie, bytes));
        for strategy in [MONOLITHIC, UploadStrategy::StreamPatch, IN_CHUNKS] {
            let fixture = Fixture::new().await;
            let stored = fixture.client.store_blob(&name("a"), &blob, &[], strategy).await;
            let failure = failure(stored);
            assert!(matches!(failure, Failure::Source(BlobError::Digest { .. })), "{failure:?}");
            assert!(size == 0 || fixture.registry.received() < size as u64, "all of it was sent");
        }
    }
}

#[tokio::test]
async fn what_takes_no_chunks_gets_one_put() {
    for strategy in [IN_CHUNKS, UploadStrategy::StreamPatch] {
        for status in [404, 405, 501] {
            let fixture = Fixture::new().await;
            fixture.registry.inject(Injection::next(Method::PATCH, "/uploads/", Fault::status(status)));
            assert_eq!(store(&fixture, strategy).await.unwrap(), Stored::Sent(MONOLITHIC));
            assert!(is_there(&fixture));
            assert_eq!(fixture.registry.open_uploads(), 0, "what was begun is given up");
        }
    }
}

#[tokio::test]
async fn chunks_are_tried_where_one_body_is_too_large() {
    let fixture = Fixture::with_quirks(|quirks| quirks.body_limit = Some(2 << 20)).await;
    let small = UploadStrategy::Resumable { chunk: 1 << 20 };
    assert_eq!(store(&fixture, MONOLITHIC).await.unwrap(), Stored::Sent(small));
    assert!(is_there(&fixture));
    let fixture = Fixture::with_quirks(|quirks| quirks.body_limit = Some(1000)).await;
    assert!(store(&fixture, MONOLITHIC).await.unwrap_err().is_too_large());
    assert!(!is_there(&fixture));
}

#[tokio::test]
async fn a_blob_that_is_there_in_another_size_is_an_error() {
    let fixture = Fixture::new().await;
    let (bytes, digest) = content(10);
    fixture.registry.put_blob("a", bytes.clone());
    let other = Descriptor::new(MediaType::OCTET_STREAM, digest, 11);
    let blob: Arc<dyn Blob> = Arc::new(MemoryBlob::new(other, bytes));
    let stored = fixture.client.store_blob(&name("a"), &blob, &[], MONOLITHIC).await;
    assert!(matches!(failure(stored), Failure::Size { expected: 11, actual: Some(10) }));
}

#[tokio::test]
async fn a_blob_is_read_on_after_a_cut() {
    for ignore_range in [false, true] {
        let fixture = Fixture::with_quirks(|quirks| quirks.ignore_range = ignore_range).await;
        let blob = blob(SIZE);
        let (bytes, _) = content(SIZE);
        fixture.registry.put_blob("a", bytes.clone());
        for cut in [1 << 20, 1 << 19] {
            fixture.registry.inject(Injection::next(Method::GET, "/blobs/", Fault::Truncate(cut)));
        }
        let read = fixture.client.read_blob(&name("a"), blob.descriptor()).collect().await.unwrap();
        assert!(read.to_bytes() == bytes);
        // Where ranges are ignored, the second one is cut before it gets further.
        assert_eq!(fixture.registry.count(&Method::GET, "/blobs/"), 3);
    }
}

#[tokio::test]
async fn a_blob_that_is_another_one_does_not_end_well() {
    let fixture = Fixture::with_quirks(|quirks| quirks.digest_header = DigestHeader::Absent).await;
    let (bytes, _) = content(1000);
    let wrong = Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of("x"), 1000);
    let body = String::from_utf8(bytes.iter().map(|byte| byte % 128).collect()).unwrap();
    let answer = Fault::Answer { status: 200, headers: Vec::new(), body };
    fixture.registry.inject(Injection::next(Method::GET, "/blobs/", answer));
    let mut read = fixture.client.read_blob(&name("a"), &wrong);
    let mut taken = 0;
    let error = loop {
        match read.frame().await.unwrap() {
            Ok(frame) => taken += frame.data_ref().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert!(taken < 1000, "the last piece is held back");
    let error = error.downcast::<Error>().unwrap();
    assert!(matches!(*error.failure, Failure::Source(_)), "{error}: {}", error.failure);
    let missing = fixture.client.read_blob(&name("a"), &wrong).collect().await.unwrap_err();
    assert!(missing.downcast::<Error>().unwrap().is_not_found());
}

#[tokio::test]
async fn an_empty_blob_is_read_without_a_question() {
    let fixture = Fixture::new().await;
    let read = fixture.client.read_blob(&name("a"), blob(0).descriptor()).collect().await.unwrap();
    assert!(read.to_bytes().is_empty() && fixture.registry.requests().is_empty());
}
