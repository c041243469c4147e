//! The form in which blobs go to the registry where it is said in `spec.upload`.

use http::Method;
use reposure_oci::Digest;
use reposure_parcel::{config::UploadStrategy, problem::Code, upload::Open, wire};
use reposure_testing::{Entry, Options, Quirks};

use crate::{
    body_limit::{assert_arrives, header, push},
    harness::{CHUNK, REPOSITORY, Stage, bytes, is_question, open},
};

const MIB: u64 = 1 << 20;

async fn stage(upload: UploadStrategy, quirks: Quirks) -> Stage {
    let options = Options { quirks, ..Options::default() };
    Stage::with(options, |config| config.upstream.upload = upload).await
}

/// Returns the requests that brought bytes of a blob, or ended an upload.
fn requests(stage: &Stage) -> Vec<Entry> {
    let mut entries = stage.registry.requests();
    entries.retain(|entry| [Method::PATCH, Method::PUT].contains(&entry.method) && !is_question(entry));
    entries
}

/// Returns method, `Content-Length` and `Content-Range` of each request.
fn shapes(stage: &Stage) -> Vec<(String, Option<String>, Option<String>)> {
    let shape = |entry: &Entry| {
        (entry.method.to_string(), header(entry, "content-length"), header(entry, "content-range"))
    };
    requests(stage).iter().map(shape).collect()
}

fn shape(
    method: &str,
    length: Option<usize>,
    range: Option<&str>,
) -> (String, Option<String>, Option<String>) {
    (method.into(), length.map(|length| length.to_string()), range.map(Into::into))
}

#[tokio::test(flavor = "multi_thread")]
async fn monolithic_is_one_put_and_nothing_else() {
    let stage = stage(UploadStrategy::Monolithic, Quirks::default()).await;
    let blob = bytes(1, 9 * CHUNK + 7);
    assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 0);
    assert_eq!(shapes(&stage), [shape("PUT", Some(blob.len()), None)]);
    stage.registry.change_quirks(|quirks| quirks.body_limit = Some(MIB));
    stage.registry.clear_requests();
    let blob = bytes(2, 9 * CHUNK);
    let (answer, lost) = push(&stage, &open(&blob), &blob).await;
    assert_eq!((answer.code(), answer.problem().upstream_status), (Code::UpstreamRefused, Some(413)));
    assert!(answer.problem().message.contains("spec.upload is monolithic"), "{answer:?}");
    assert_eq!((lost, requests(&stage).len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn monolithic_needs_digest_and_size() {
    let stage = stage(UploadStrategy::Monolithic, Quirks::default()).await;
    let blob = bytes(1, CHUNK);
    let nameless = Open { digest: None, key: Some("my-own".into()), ..open(&blob) };
    for wish in [nameless, Open { size: None, ..open(&blob) }] {
        let answer = stage.client.post(wire::UPLOADS, &wish).await;
        assert_eq!(answer.code(), Code::BadRequest);
        assert!(answer.problem().message.contains("digest and size"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_is_one_patch_without_a_length() {
    let stage = stage(UploadStrategy::Stream, Quirks::default()).await;
    for length in [9 * CHUNK + 7, 1000, 0] {
        stage.registry.clear_requests();
        let blob = bytes(1, length);
        assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 0);
        assert_eq!(shapes(&stage), [shape("PATCH", None, None), shape("PUT", Some(0), None)], "{length}");
    }
    stage.registry.change_quirks(|quirks| quirks.length_wanted = true);
    let blob = bytes(2, 2 * CHUNK);
    let (answer, lost) = push(&stage, &open(&blob), &blob).await;
    assert_eq!((answer.problem().upstream_status, lost), (Some(411), 0));
    assert!(answer.problem().message.contains("spec.upload is stream"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_is_a_patch_for_each_piece() {
    let stage = stage(UploadStrategy::Chunked, Quirks::default()).await;
    let blob = bytes(1, 17 * CHUNK + 1);
    assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 0);
    let expected = [
        shape("PATCH", Some(16 * CHUNK), Some("0-16777215")),
        shape("PATCH", Some(CHUNK + 1), Some("16777216-17825792")),
        shape("PUT", Some(0), None),
    ];
    assert_eq!(shapes(&stage), expected);
    for (length, patches) in [(1000, 1), (0, 0)] {
        stage.registry.clear_requests();
        let blob = bytes(2, length);
        assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 0);
        assert_eq!(requests(&stage).len(), patches + 1, "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_heeds_what_the_registry_says_of_chunks() {
    let stage = stage(
        UploadStrategy::Chunked,
        Quirks { smallest_chunk: Some(16 * MIB + MIB / 2), ..Quirks::default() },
    )
    .await;
    let blob = bytes(1, 18 * CHUNK);
    assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 0);
    let lengths: Vec<u64> = requests(&stage).iter().map(|entry| entry.received).collect();
    assert_eq!(lengths, [16 * MIB + MIB / 2, MIB + MIB / 2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_goes_on_in_shorter_pieces() {
    let limited = Quirks { body_limit: Some(6 * MIB), ..Quirks::default() };
    for quirks in [Quirks::ghcr(), limited] {
        let stage = stage(UploadStrategy::Chunked, quirks).await;
        let blob = bytes(1, 9 * CHUNK);
        assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 1);
        stage.registry.clear_requests();
        let blob = bytes(2, 9 * CHUNK);
        assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 0);
        assert_eq!(requests(&stage).len(), 4, "of 4, 4 and 1 MiB, and the end");
    }
}

/// Artifact Registry and ECR take no chunks: whoever wishes for them is told, and nothing is stored.
#[tokio::test(flavor = "multi_thread")]
async fn chunked_is_what_it_says_even_where_it_does_not_go() {
    for quirks in [Quirks::artifact_registry(), Quirks::ecr()] {
        let stage = stage(UploadStrategy::Chunked, quirks).await;
        stage.registry.make_repository(REPOSITORY);
        let blob = bytes(1, 33 * CHUNK);
        let (answer, _) = push(&stage, &open(&blob), &blob).await;
        assert!(answer.problem().message.contains("spec.upload is chunked"), "{answer:?}");
        assert!(!requests(&stage).iter().any(|entry| entry.method == Method::PUT));
        assert!(stage.registry.blob(REPOSITORY, &Digest::sha256_of(&blob).to_string()).is_none());
    }
}
