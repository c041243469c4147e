//! Uploads that fail, and what is left of them.

use std::time::Duration;

use http::Method;
use reposure_oci::Digest;
use reposure_parcel::{
    limits::COMMIT_TICK,
    problem::Code,
    upload::{Commit, Progress},
    wire,
};
use reposure_testing::{DigestHeader, Fault, Injection};

use crate::harness::{Answer, CHUNK, REPOSITORY, Stage, bytes, open};

/// Sends a blob and commits it under its name.
async fn push(stage: &Stage, blob: &[u8]) -> (String, Answer) {
    let opened = stage.client.open(blob).await;
    for start in (0..blob.len()).step_by(CHUNK) {
        let answer = stage.client.put(&opened.id, start, &blob[start..(start + CHUNK).min(blob.len())]).await;
        if answer.status != 200 {
            return (opened.id, answer);
        }
    }
    let answer = stage.client.commit(&opened.id, &Digest::sha256_of(blob), blob.len()).await;
    (opened.id, answer)
}

async fn assert_nothing_is_stored(stage: &Stage, id: &str, blob: &[u8]) {
    assert_ne!(stage.client.progress(id).await.status, 200);
    assert!(stage.registry.blob(REPOSITORY, &Digest::sha256_of(blob).to_string()).is_none());
}

async fn assert_nothing_is_left(stage: &Stage, id: &str, blob: &[u8]) {
    assert_nothing_is_stored(stage, id, blob).await;
    for _ in 0..100 {
        if stage.registry.open_uploads() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the upload stays open at the registry");
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_not_stored() {
    let stage = Stage::start().await;
    let (blob, other) = (bytes(1, 2 * CHUNK), bytes(2, 2 * CHUNK));
    let opened = stage.client.open(&blob).await;
    for start in [0, CHUNK] {
        assert_eq!(stage.client.put(&opened.id, start, &other[start..start + CHUNK]).await.status, 200);
    }
    let answer = stage.client.commit(&opened.id, &Digest::sha256_of(&blob), blob.len()).await;
    assert_eq!((answer.code(), answer.problem().upstream_status), (Code::DigestMismatch, Some(400)));
    assert!(!answer.problem().transient, "the bytes were all this client's");
    assert_nothing_is_left(&stage, &opened.id, &blob).await;
    assert_eq!(push(&stage, &blob).await.1.status, 201);
}

#[tokio::test]
async fn a_client_that_shared_with_a_wrong_one_may_try_again() {
    let stage = Stage::start().await;
    let (blob, other) = (bytes(1, CHUNK), bytes(2, CHUNK));
    let opened = stage.client.open(&blob).await;
    stage.client.open(&blob).await;
    assert_eq!(stage.client.put(&opened.id, 0, &other).await.status, 200);
    let answer = stage.client.commit(&opened.id, &Digest::sha256_of(&blob), blob.len()).await;
    assert!(answer.code() == Code::DigestMismatch && answer.problem().transient, "{answer:?}");
}

/// Sends the first and the last of three chunks.
async fn open_with_a_gap(stage: &Stage) -> (Vec<u8>, Progress) {
    let blob = bytes(1, 3 * CHUNK);
    let opened = stage.client.open(&blob).await;
    for start in [0, 2 * CHUNK] {
        assert_eq!(stage.client.put(&opened.id, start, &blob[start..start + CHUNK]).await.status, 200);
    }
    (blob, opened)
}

/// Over a long way it travels beside the last chunks.
#[tokio::test]
async fn a_commit_that_comes_before_the_last_bytes_waits_for_them() {
    let stage = Stage::start().await;
    let (blob, opened) = open_with_a_gap(&stage).await;
    let message = Commit { digest: Digest::sha256_of(&blob), size: blob.len() as u64, early: true };
    let (client, id) = (stage.client.clone(), opened.id.clone());
    let mut committing = tokio::spawn(async move { client.commit_as(&id, message).await });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut committing).await;
    assert!(early.is_err(), "it has an answer: {early:?}");
    assert_eq!(stage.client.put(&opened.id, CHUNK, &blob[CHUNK..2 * CHUNK]).await.status, 200);
    // Sooner than it would be asked again.
    let answer = tokio::time::timeout(COMMIT_TICK / 2, committing).await.unwrap().unwrap();
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn an_upload_that_ends_ends_a_commit_that_waits_for_bytes() {
    let stage = Stage::start().await;
    let blob = bytes(1, CHUNK);
    let opened = stage.client.open(&blob).await;
    let message = Commit { digest: Digest::sha256_of(&blob), size: blob.len() as u64, early: true };
    let committing = tokio::time::timeout(COMMIT_TICK / 2, stage.client.commit_as(&opened.id, message));
    let (committed, cancelled) = tokio::join!(committing, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.client.cancel(&opened.id).await
    });
    assert_eq!((committed.unwrap().code(), cancelled.status.as_u16()), (Code::NotFound, 204));
}

#[tokio::test]
async fn a_commit_says_what_is_missing() {
    let stage = Stage::start().await;
    let (blob, opened) = open_with_a_gap(&stage).await;
    let digest = Digest::sha256_of(&blob);
    let answer = stage.client.commit(&opened.id, &digest, blob.len()).await;
    assert!(answer.code() == Code::Conflict && answer.problem().message.contains("1048576"), "{answer:?}");
    assert_eq!(stage.client.commit(&opened.id, &digest, CHUNK).await.code(), Code::DigestMismatch);
    let other = Digest::sha256_of("other");
    assert_eq!(stage.client.commit(&opened.id, &other, blob.len()).await.code(), Code::Conflict);
    // None of it has done any harm.
    assert_eq!(stage.client.put(&opened.id, CHUNK, &blob[CHUNK..2 * CHUNK]).await.status, 200);
    assert_eq!(stage.client.commit(&opened.id, &digest, blob.len()).await.status, 201);
}

#[tokio::test]
async fn what_the_registry_refuses_is_told_apart_from_what_may_come_right() {
    for (fault, code, status, transient) in [
        (Fault::html(413), Code::UpstreamRefused, Some(413), false),
        (Fault::code(403, "DENIED"), Code::UpstreamDenied, Some(403), false),
        (Fault::status(500), Code::UpstreamRefused, Some(500), true),
        (Fault::retry_after(503, 1), Code::UpstreamBusy, Some(503), true),
        (Fault::status(507), Code::UpstreamRefused, Some(507), false),
        (Fault::status(202), Code::UpstreamRefused, Some(202), false),
        (Fault::DropAfter(100_000), Code::UpstreamUnreachable, None, true),
        (Fault::DropAnswer, Code::UpstreamUnreachable, None, true),
    ] {
        let stage = Stage::start().await;
        stage.registry.inject(Injection::next(Method::PUT, "/blobs/uploads/", fault.clone()));
        // A registry that answers and closes with much unread loses its answer: that is no refusal then.
        let size = if matches!(fault, Fault::DropAfter(_)) { CHUNK } else { 1000 };
        let blob = bytes(1, size);
        let (id, answer) = push(&stage, &blob).await;
        let problem = answer.problem();
        assert_eq!(
            (problem.code, problem.upstream_status, problem.transient),
            (code, status, transient),
            "{fault:?}"
        );
        match fault {
            Fault::DropAnswer => {}
            // What the registry has may be of use to the next try.
            _ if transient => assert_nothing_is_stored(&stage, &id, &blob).await,
            _ => assert_nothing_is_left(&stage, &id, &blob).await,
        }
        // The fault was for one time: the client starts again, and may.
        let answer = stage.client.post(wire::UPLOADS, &open(&blob)).await;
        assert!(matches!(answer.status.as_u16(), 200 | 201), "{answer:?}");
    }
}

#[tokio::test]
async fn a_success_without_the_right_digest_is_none() {
    let stage = Stage::start().await;
    stage.registry.change_quirks(|quirks| quirks.digest_header = DigestHeader::Wrong);
    let (_, answer) = push(&stage, &bytes(1, 1000)).await;
    assert_eq!(answer.code(), Code::DigestMismatch);

    let stage = Stage::start().await;
    stage.registry.inject(Injection::next(Method::PUT, "/blobs/uploads/", Fault::status(201)));
    let (_, answer) = push(&stage, &bytes(1, 1000)).await;
    assert_eq!(answer.code(), Code::UpstreamRefused, "nothing is there: {answer:?}");
}

#[tokio::test]
async fn a_failure_is_told_once_to_who_commits_later() {
    let stage = Stage::start().await;
    // More often than it is tried.
    let fault = Injection::next(Method::POST, "/blobs/uploads/", Fault::status(500));
    stage.registry.inject(Injection { times: 100, ..fault });
    let blob = bytes(1, CHUNK);
    let opened = stage.client.open(&blob).await;
    stage.client.put(&opened.id, 0, &blob[..1000]).await;
    while stage.client.progress(&opened.id).await.status == 200 {}
    // Whoever sends learns why, too, and does not take the upload for lost.
    assert_eq!(stage.client.put(&opened.id, 0, &blob[..1000]).await.code(), Code::UpstreamRefused);
    let digest = Digest::sha256_of(&blob);
    assert_eq!(stage.client.commit(&opened.id, &digest, blob.len()).await.code(), Code::UpstreamRefused);
    assert_eq!(stage.client.commit(&opened.id, &digest, blob.len()).await.code(), Code::NotFound);
}

#[tokio::test]
async fn a_chunk_that_is_cut_costs_itself_alone() {
    use tokio::io::AsyncWriteExt;

    let stage = Stage::start().await;
    let blob = bytes(1, 2 * CHUNK);
    let opened = stage.client.open(&blob).await;
    let mut stream = crate::gateway::tls(&stage).await;
    let path = format!("{}/{}/0", wire::UPLOADS, opened.id);
    let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {CHUNK}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&blob[..CHUNK / 2]).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    let received = loop {
        let progress: Progress = stage.client.progress(&opened.id).await.json();
        if let Some(range) = progress.received.first() {
            break range.end;
        }
    };
    assert!(received <= CHUNK as u64 / 2);
    for start in [0, CHUNK] {
        assert_eq!(stage.client.put(&opened.id, start, &blob[start..start + CHUNK]).await.status, 200);
    }
    assert_eq!(stage.client.commit(&opened.id, &Digest::sha256_of(&blob), blob.len()).await.status, 201);
}
