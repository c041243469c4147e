//! Registries that take no body above some size, or a proxy before them that does not.

use std::sync::Arc;

use http::Method;
use reposure_oci::Digest;
use reposure_parcel::{
    limits,
    problem::Code,
    upload::{Open, Progress},
    wire,
};
use reposure_testing::{Entry, Fault, Injection, Quirks};

use crate::{
    harness::{Answer, CHUNK, REPOSITORY, Stage, bytes, open},
    uploads::{most_granted, send},
};

const MIB: u64 = 1 << 20;
/// How often a client begins a blob anew at most that gets no further.
const RESTARTS: usize = 5;

async fn stage(change: impl FnOnce(&mut Quirks)) -> Stage {
    let stage = Stage::start().await;
    stage.registry.change_quirks(change);
    stage
}

/// Sends a blob once, one chunk after the other, and returns the answer to its commit, or to the first chunk that is refused.
async fn push_once(stage: &Stage, wish: &Open, blob: &[u8]) -> Answer {
    let opened: Progress = stage.client.post(wire::UPLOADS, wish).await.json();
    for start in (0..blob.len()).step_by(CHUNK) {
        let answer = stage.client.put(&opened.id, start, &blob[start..(start + CHUNK).min(blob.len())]).await;
        if answer.status != 200 {
            return answer;
        }
    }
    stage.client.commit(&opened.id, &Digest::sha256_of(blob), blob.len()).await
}

/// Sends a blob as often as it is lost, and returns the last answer and how often it was lost.
pub(crate) async fn push(stage: &Stage, wish: &Open, blob: &[u8]) -> (Answer, usize) {
    for lost in 0..=RESTARTS {
        let answer = push_once(stage, wish, blob).await;
        if answer.status.is_success() || answer.code() != Code::NotFound {
            return (answer, lost);
        }
        assert!(answer.problem().message.contains("to be sent again"), "it says why: {answer:?}");
    }
    panic!("the blob is lost again and again");
}

/// Sends a blob and sees to it that the registry has it; returns how often it was lost.
pub(crate) async fn assert_arrives(stage: &Stage, wish: &Open, blob: &[u8]) -> usize {
    let (answer, lost) = push(stage, wish, blob).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let stored = stage.registry.blob(REPOSITORY, &Digest::sha256_of(blob).to_string());
    assert!(stored.is_some_and(|stored| stored == blob));
    lost
}

fn pieces(stage: &Stage) -> Vec<Entry> {
    let mut entries = stage.registry.requests();
    entries.retain(|entry| entry.method == Method::PATCH);
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_one_request_goes_in_pieces() {
    let stage = stage(|quirks| quirks.body_limit = Some(MIB)).await;
    let blob = bytes(1, 9 * CHUNK + 7);
    // In one request, and in pieces of 4 and 2 MiB.
    assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 3);

    stage.registry.clear_requests();
    let other = bytes(2, 3 * CHUNK + 1);
    assert_eq!(assert_arrives(&stage, &open(&other), &other).await, 0, "it is known now");
    let ranges: Vec<_> = pieces(&stage).iter().map(range).collect();
    assert_eq!(ranges, ["0-1048575", "1048576-2097151", "2097152-3145727", "3145728-3145728"]);
    let small = bytes(3, 1000);
    assert_eq!(assert_arrives(&stage, &open(&small), &small).await, 0);
    assert_eq!(pieces(&stage).len(), 4, "a small blob goes in one request");
}

fn range(entry: &Entry) -> String {
    header(entry, "content-range").unwrap_or_default()
}

/// Returns a header of a request to the registry.
pub(crate) fn header(entry: &Entry, name: &str) -> Option<String> {
    entry.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_as_long_as_the_registry_wants() {
    let stage = stage(|quirks| {
        quirks.smallest_chunk = Some(5 * MIB + 1);
        quirks.body_limit = Some(8 * MIB);
    })
    .await;
    let blob = bytes(1, 20 * CHUNK);
    assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 1);
    let lengths: Vec<u64> = pieces(&stage).iter().map(|entry| entry.received).collect();
    assert_eq!(lengths, [5 * MIB + MIB / 4, 5 * MIB + MIB / 4, 5 * MIB + MIB / 4, 4 * MIB + MIB / 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_unknown_digest_and_size_goes_in_pieces() {
    let limited: fn(&mut Quirks) = |quirks| quirks.body_limit = Some(3 * MIB);
    for change in [limited, |quirks| quirks.length_wanted = true] {
        let stage = stage(change).await;
        let blob = bytes(1, 9 * CHUNK + 17);
        let wish = Open { digest: None, size: None, key: Some("my-own".into()), ..open(&blob) };
        assert_eq!(assert_arrives(&stage, &wish, &blob).await, 1);
        assert!(pieces(&stage).len() > 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_takes_next_to_nothing_is_named() {
    let stage = stage(|quirks| quirks.body_limit = Some(100_000)).await;
    let blob = bytes(1, 9 * CHUNK);
    let (answer, lost) = push(&stage, &open(&blob), &blob).await;
    assert_eq!((answer.code(), answer.problem().upstream_status), (Code::UpstreamRefused, Some(413)));
    assert_eq!(lost, RESTARTS);
    let small = bytes(2, 90_000);
    assert_eq!(assert_arrives(&stage, &open(&small), &small).await, 0);
}

/// One odd answer is no refusal of pieces, and costs the blob that it was to.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_lost_between_its_pieces_comes_again_in_pieces() {
    let stage = stage(|quirks| quirks.body_limit = Some(5 * MIB)).await;
    let fault = Fault::code(400, "BLOB_UPLOAD_INVALID");
    stage.registry.inject(Injection { skip: 2, ..Injection::next(Method::PATCH, "/uploads/", fault) });
    let blob = bytes(1, 13 * CHUNK);
    assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 2, "in one request, and in pieces");
    stage.registry.clear_requests();
    let other = bytes(2, 9 * CHUNK);
    assert_eq!(assert_arrives(&stage, &open(&other), &other).await, 0);
    assert_eq!(pieces(&stage).len(), 3);
}

/// A blob that cannot be stored takes nothing from those that can.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_pieces_gets_whole_blobs_all_the_same() {
    for change in [
        |quirks: &mut Quirks| quirks.no_chunks = true,
        |quirks: &mut Quirks| quirks.drop_later_patches = true,
    ] {
        let stage = stage(change).await;
        stage.registry.change_quirks(|quirks| quirks.body_limit = Some(6 * MIB));
        let (large, small) = (bytes(1, 9 * CHUNK), bytes(2, 5 * CHUNK));
        let (answer, lost) = push(&stage, &open(&large), &large).await;
        assert_eq!((answer.code(), answer.problem().upstream_status), (Code::UpstreamRefused, Some(413)));
        assert_eq!(lost, 2, "of one request, and of pieces");
        assert_eq!(assert_arrives(&stage, &open(&small), &small).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pieces_take_no_more_memory() {
    let stage = stage(|quirks| quirks.body_limit = Some(5 * MIB)).await;
    let blob = bytes(1, 9 * CHUNK);
    assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 1);
    stage.registry.change_quirks(|quirks| quirks.drain_rate = Some(40 * MIB));
    stage.registry.clear_requests();
    let blob = Arc::new(bytes(2, 64 * CHUNK));
    let opened = stage.client.open(&blob).await;
    let id = opened.id.clone();
    let (most, ()) = tokio::join!(most_granted(&stage, &id, blob.len()), send(&stage.client, opened, &blob));
    // Half of the memory and the reserve of one upload; the rest is in sockets.
    let bound = limits::UPLOAD_MEMORY / 2 + limits::CHUNK + 8 * MIB;
    assert!(most <= bound, "{most} bytes were granted ahead of the registry");
    let answer = stage.client.commit(&id, &Digest::sha256_of(blob.as_slice()), blob.len()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(pieces(&stage).len(), 16);
}
