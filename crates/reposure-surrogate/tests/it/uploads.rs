//! Uploads that go well.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use reposure_oci::Digest;
use reposure_parcel::{
    exists::{Exists, Missing},
    hello::Hello,
    limits,
    problem::Code,
    upload::{CHECKED, How, Open, Progress, Range, Stored},
    whole, wire,
};
use reposure_testing::DigestHeader;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{CHUNK, REPOSITORY, Stage, SurrogateClient, bytes, is_question, open, until};

/// Sends the chunks of an upload in a scrambled order, eight at once, each as soon as it is inside the window.
pub(crate) async fn send(client: &SurrogateClient, opened: Progress, blob: &Arc<Vec<u8>>) {
    let mut waiting: Vec<usize> = (0..blob.len()).step_by(CHUNK).collect();
    let mut tasks: JoinSet<Progress> = JoinSet::new();
    let mut end = opened.window.from + opened.window.bytes;
    while !waiting.is_empty() || !tasks.is_empty() {
        let is_inside = |start: &usize| (start + CHUNK).min(blob.len()) as u64 <= end;
        // The last one inside first: as much out of order as can be.
        if tasks.len() < 8
            && let Some(index) = waiting.iter().rposition(is_inside)
        {
            let (client, blob, id) = (client.clone(), blob.clone(), opened.id.clone());
            let start = waiting.remove(index);
            tasks.spawn(async move {
                let answer = client.put(&id, start, &blob[start..(start + CHUNK).min(blob.len())]).await;
                assert_eq!(answer.status, 200, "inside the window, and refused: {answer:?}");
                answer.json()
            });
            continue;
        }
        let progress: Progress = match tasks.join_next().await {
            Some(progress) => progress.unwrap(),
            None => client.progress(&opened.id).await.json(),
        };
        end = end.max(progress.window.from + progress.window.bytes);
    }
}

async fn push(client: &SurrogateClient, blob: Vec<u8>) {
    let (digest, blob) = (Digest::sha256_of(&blob), Arc::new(blob));
    let opened = client.open(&blob).await;
    let id = opened.id.clone();
    send(client, opened, &blob).await;
    let answer = client.commit(&id, &digest, blob.len()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json::<Stored>(), Stored { digest, how: How::Uploaded });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn chunks_of_several_uploads_come_in_any_order() {
    let stage = Stage::start().await;
    let mut pushes = JoinSet::new();
    let sizes = [1, CHUNK - 1, CHUNK, CHUNK + 1, 9 * CHUNK + 7, 20 * CHUNK, 3, 50 * CHUNK + 12345];
    for (seed, size) in sizes.into_iter().enumerate() {
        let client = stage.client.clone();
        pushes.spawn(async move { push(&client, bytes(seed as u64, size)).await });
    }
    pushes.join_all().await;
    for (seed, size) in sizes.into_iter().enumerate() {
        let blob = bytes(seed as u64, size);
        let stored = stage.registry.blob(REPOSITORY, &Digest::sha256_of(&blob).to_string());
        assert!(stored.is_some_and(|stored| stored == blob), "size {size}");
    }
    assert_eq!(stage.registry.open_uploads(), 0);
    let mut puts = stage.registry.requests();
    puts.retain(|entry| entry.method == Method::PUT && !is_question(entry));
    assert_eq!(puts.len(), sizes.len(), "one request for each blob");
}

#[tokio::test]
async fn an_empty_blob_needs_no_chunk() {
    let stage = Stage::start().await;
    push(&stage.client, Vec::new()).await;
    assert!(stage.registry.blob(REPOSITORY, &Digest::sha256_of("").to_string()).is_some());
}

#[tokio::test]
async fn what_is_there_is_not_sent() {
    let stage = Stage::start().await;
    let blob = bytes(1, 1000);
    stage.registry.put_blob(REPOSITORY, blob.clone());
    let answer = stage.client.post(wire::UPLOADS, &open(&blob)).await;
    assert_eq!((answer.status.as_u16(), answer.json::<Stored>().how), (200, How::Existed));
}

#[tokio::test]
async fn what_is_in_another_repository_is_mounted() {
    let stage = Stage::start().await;
    let blob = bytes(1, 1000);
    stage.registry.put_blob("other/app", blob.clone());
    let wish = Open { from: vec!["no/such".parse().unwrap(), "other/app".parse().unwrap()], ..open(&blob) };
    // The registry answers the first source with an upload, and so says nothing of the second.
    stage.registry.put_blob("no/such", blob.clone());
    let answer = stage.client.post(wire::UPLOADS, &wish).await;
    assert_eq!((answer.status.as_u16(), answer.json::<Stored>().how), (200, How::Mounted));

    // What was just pushed is remembered, without being named.
    let blob = bytes(2, 1000);
    push(&stage.client, blob.clone()).await;
    let wish = Open { repository: "third/app".parse().unwrap(), ..open(&blob) };
    let answer = stage.client.post(wire::UPLOADS, &wish).await;
    assert_eq!((answer.status.as_u16(), answer.json::<Stored>().how), (200, How::Mounted));
}

#[tokio::test]
async fn an_upload_that_a_failed_mount_opens_is_used() {
    let stage = Stage::start().await;
    let blob = bytes(1, 1000);
    let wish = Open { from: vec!["no/such".parse().unwrap()], ..open(&blob) };
    let opened: Progress = stage.client.post(wire::UPLOADS, &wish).await.json();
    assert_eq!(stage.client.put(&opened.id, 0, &blob).await.status, 200);
    assert_eq!(stage.client.commit(&opened.id, &Digest::sha256_of(&blob), 1000).await.status, 201);
    assert_eq!(stage.registry.count(&Method::POST, "/blobs/uploads/"), 1);
}

#[tokio::test]
async fn a_blob_of_unknown_digest_and_size_is_streamed() {
    let stage = Stage::start().await;
    let blob = bytes(1, 3 * CHUNK + 17);
    let wish = Open { digest: None, size: None, key: Some("my-own".into()), ..open(&blob) };
    let opened: Progress = stage.client.post(wire::UPLOADS, &wish).await.json();
    for start in [2 * CHUNK, 0, 3 * CHUNK, CHUNK] {
        let answer = stage.client.put(&opened.id, start, &blob[start..(start + CHUNK).min(blob.len())]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let digest = Digest::sha256_of(&blob);
    assert_eq!(stage.client.commit(&opened.id, &digest, blob.len()).await.status, 201);
    assert!(stage.registry.blob(REPOSITORY, &digest.to_string()).is_some_and(|stored| stored == blob));
    assert_eq!(stage.registry.count(&Method::PATCH, "/blobs/uploads/"), 1);
}

#[tokio::test]
async fn an_upload_without_digest_and_key_is_refused() {
    let stage = Stage::start().await;
    let answer = stage.client.post(wire::UPLOADS, &Open { digest: None, ..open(b"x") }).await;
    assert_eq!(answer.code(), Code::BadRequest);
}

#[tokio::test]
async fn a_chunk_that_is_there_is_answered_again() {
    let stage = Stage::start().await;
    let blob = bytes(1, 2 * CHUNK);
    let opened = stage.client.open(&blob).await;
    for _ in 0..3 {
        let progress: Progress = stage.client.put(&opened.id, CHUNK, &blob[CHUNK..]).await.json();
        assert_eq!(progress.received, [Range { start: CHUNK as u64, end: 2 * CHUNK as u64 }]);
    }
    assert_eq!(stage.client.put(&opened.id, 0, &blob[..CHUNK]).await.status, 200);
    let digest = Digest::sha256_of(&blob);
    assert_eq!(stage.client.commit(&opened.id, &digest, blob.len()).await.status, 201);
    // Commits and chunks may be repeated after the end: their answers get lost.
    assert_eq!(stage.client.commit(&opened.id, &digest, blob.len()).await.status, 201);
    let progress: Progress = stage.client.put(&opened.id, 0, &blob[..CHUNK]).await.json();
    assert_eq!((progress.received[0].end, progress.window.bytes), (2 * CHUNK as u64, 0));
    let other = Digest::sha256_of("other");
    assert_eq!(stage.client.commit(&opened.id, &other, blob.len()).await.code(), Code::Conflict);
}

#[tokio::test]
async fn two_clients_share_an_upload_of_one_digest() {
    let stage = Stage::start().await;
    let blob = bytes(1, 4 * CHUNK);
    let (first, second) = (stage.client.open(&blob).await, stage.client.open(&blob).await);
    assert_eq!(first.id, second.id);
    // Each sends half, and one gives up: the other does not notice.
    assert_eq!(stage.client.put(&first.id, 0, &blob[..2 * CHUNK]).await.status, 200);
    assert_eq!(stage.client.cancel(&first.id).await.status, 204);
    assert_eq!(stage.client.put(&second.id, 2 * CHUNK, &blob[2 * CHUNK..]).await.status, 200);
    let answer = stage.client.commit(&second.id, &Digest::sha256_of(&blob), blob.len()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn a_key_keeps_uploads_of_one_digest_apart() {
    let stage = Stage::start().await;
    let blob = bytes(1, CHUNK);
    let first = stage.client.open(&blob).await;
    let wish = Open { key: Some("mine".into()), ..open(&blob) };
    let second: Progress = stage.client.post(wire::UPLOADS, &wish).await.json();
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn the_last_lease_ends_an_upload_and_frees_its_place() {
    let stage = Stage::start().await;
    let mut ids = Vec::new();
    for seed in 0..limits::OPEN_UPLOADS as u64 {
        let large = Open { size: Some(limits::CHUNK), ..open(&bytes(seed, CHUNK)) };
        ids.push(stage.client.post(wire::UPLOADS, &large).await.json::<Progress>().id);
    }
    let ninth = bytes(99, 10);
    let answer = stage.client.post(wire::UPLOADS, &open(&ninth)).await;
    assert!(answer.code() == Code::TooManyUploads && answer.problem().transient, "{answer:?}");
    // One of them has begun at the registry.
    assert_eq!(stage.client.put(&ids[0], 0, &bytes(0, CHUNK)[..1000]).await.status, 200);
    let waiting = tokio::spawn({
        let (client, ninth) = (stage.client.clone(), ninth.clone());
        async move { client.post(wire::UPLOADS, &open(&ninth)).await }
    });
    assert_eq!(stage.client.cancel(&ids[0]).await.status, 204);
    assert_eq!(waiting.await.unwrap().status, 201, "who waits gets the place");
    assert_eq!(stage.client.put(&ids[0], 0, b"x").await.code(), Code::NotFound);
    assert_eq!(stage.client.progress(&ids[0]).await.code(), Code::NotFound);
    assert_eq!(stage.client.cancel(&ids[0]).await.status, 204, "again, because the answer got lost");
    while stage.registry.open_uploads() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn there_is_room_for_more_small_uploads_than_large_ones() {
    let stage = Stage::start().await;
    for seed in 0..limits::PLACES as u64 {
        stage.client.open(&bytes(seed, 10)).await;
    }
    let answer = stage.client.post(wire::UPLOADS, &open(&bytes(99, 10))).await;
    assert_eq!(answer.code(), Code::TooManyUploads);
}

#[tokio::test]
async fn what_is_outside_of_the_window_or_the_blob_is_refused() {
    let stage = Stage::start().await;
    let blob = vec![7; 1000];
    let opened = stage.client.open(&blob).await;
    assert_eq!((opened.window.from, opened.window.bytes), (0, 1000));
    assert_eq!(stage.client.put(&opened.id, 999, b"xy").await.code(), Code::DigestMismatch);
    let path = |offset: u64| format!("{}/{}/{offset}", wire::UPLOADS, opened.id);
    let answer = stage.client.send(Request::put(path(u64::MAX)), "xy").await;
    assert_eq!(answer.code(), Code::BadRequest);

    let wish = Open { digest: None, size: None, key: Some("k".into()), ..open(&blob) };
    let opened: Progress = stage.client.post(wire::UPLOADS, &wish).await.json();
    let path = format!("{}/{}/{}", wire::UPLOADS, opened.id, opened.window.bytes);
    assert_eq!(stage.client.send(Request::put(path), "x").await.code(), Code::OutsideWindow);
    let large = vec![0; usize::try_from(limits::LARGEST_CHUNK).unwrap() + 1];
    assert_eq!(stage.client.put(&opened.id, 0, &large).await.code(), Code::TooLarge);
}

/// Watches an upload of `length` bytes to its end, and returns how many bytes were granted at once beyond what the registry has seen.
pub(crate) async fn most_granted(stage: &Stage, id: &str, length: usize) -> u64 {
    let mut most = 0;
    loop {
        let progress: Progress = stage.client.progress(id).await.json();
        let granted = progress.window.from + progress.window.bytes;
        most = most.max(granted.saturating_sub(stage.registry.received()));
        if progress.window.from == length as u64 {
            return most;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_registry_slows_the_client_down() {
    let stage = Stage::start().await;
    stage.registry.change_quirks(|quirks| quirks.drain_rate = Some(40 << 20));
    let blob = Arc::new(bytes(1, 96 * CHUNK));
    let opened = stage.client.open(&blob).await;
    let id = opened.id.clone();
    let (most, ()) = tokio::join!(most_granted(&stage, &id, blob.len()), send(&stage.client, opened, &blob));
    // Half of the memory and the reserve of one upload; the rest is in sockets, where Linux takes up to 4 MiB of what is sent and 6
    // of what is received, and in the buffers of HTTP.
    let bound = limits::UPLOAD_MEMORY / 2 + limits::CHUNK + (12 << 20);
    assert!(most <= bound, "{most} bytes were granted ahead of the registry");
    let digest = Digest::sha256_of(blob.as_slice());
    assert_eq!(stage.client.commit(&id, &digest, blob.len()).await.status, 201);
}

/// It is asked beside a large blob, once.
#[tokio::test]
async fn a_hello_says_whether_the_registry_has_proved_to_check_digests() {
    for unchecked in [false, true] {
        let stage = Stage::start().await;
        stage.registry.change_quirks(|quirks| quirks.digests_unchecked = unchecked);
        push(&stage.client, bytes(1, CHUNK)).await;
        let is_checked = async || stage.client.get(wire::HELLO).await.json::<Hello>().can(CHECKED);
        assert!(!is_checked().await, "nothing was worth asking");
        // The question may come too late for a fast one.
        for seed in 2..20 {
            push(&stage.client, bytes(seed, 9 << 20)).await;
            if is_checked().await {
                break;
            }
        }
        assert_eq!(is_checked().await, !unchecked);
        let refused = Some(StatusCode::BAD_REQUEST);
        assert_eq!(stage.registry.requests().iter().any(|entry| entry.status == refused), !unchecked);
    }
}

#[tokio::test]
async fn a_registry_that_names_no_digest_is_asked_for_the_blob() {
    let stage = Stage::start().await;
    stage.registry.change_quirks(|quirks| quirks.digest_header = DigestHeader::Absent);
    push(&stage.client, bytes(1, 1000)).await;
    assert_eq!(stage.registry.count(&Method::HEAD, "/blobs/"), 2);
}

#[tokio::test]
async fn a_small_blob_takes_one_request() {
    let stage = Stage::start().await;
    let (blob, repository) = (bytes(1, CHUNK), REPOSITORY.parse().unwrap());
    let put = |digest: &Digest, body: &[u8]| {
        stage.client.send(Request::put(whole::path(&repository, digest)), Bytes::copy_from_slice(body))
    };
    let digest = Digest::sha256_of(&blob);
    let answer = put(&digest, &blob).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json::<Stored>(), Stored { digest: digest.clone(), how: How::Uploaded });
    assert_eq!(stage.registry.blob(REPOSITORY, &digest.to_string()).unwrap(), blob);
    let again = put(&digest, &blob).await;
    assert_eq!((again.status.as_u16(), again.json::<Stored>().how), (200, How::Existed));

    let other = Digest::sha256_of(b"something else");
    assert_eq!(put(&other, &blob).await.code(), Code::DigestMismatch);
    assert_eq!(stage.registry.blob(REPOSITORY, &other.to_string()), None);
    let large = vec![0; usize::try_from(whole::LIMIT).unwrap() + 1];
    assert_eq!(put(&Digest::sha256_of(&large), &large).await.code(), Code::TooLarge);
}

/// Before each of many small blobs another question would cost as much as the blob.
#[tokio::test]
async fn what_was_just_asked_for_is_not_asked_for_again() {
    let stage = Stage::start().await;
    let (blob, repository) = (bytes(1, 100), REPOSITORY.parse().unwrap());
    let digest = Digest::sha256_of(&blob);
    let path = whole::path(&repository, &digest);
    let wish = Exists { repository, digests: vec![digest], uploads: 0 };
    assert_eq!(stage.client.post(wire::EXISTS, &wish).await.status, 200);
    let put = || stage.client.send(Request::put(&path), blob.clone());
    assert_eq!(put().await.status, 201);
    assert_eq!(stage.registry.count(&Method::HEAD, "/blobs/"), 1);
    assert_eq!(put().await.json::<Stored>().how, How::Existed, "it is asked for once more");
    assert_eq!(stage.registry.count(&Method::HEAD, "/blobs/"), 2);
}

/// While the client learns what is missing, uploads are opened at the registry for that, if he is to send it.
#[tokio::test]
async fn the_registry_is_made_ready_for_what_is_missing() {
    let stage = Stage::start().await;
    let blobs = [1, 2, 3].map(|seed| bytes(seed, 100));
    let wish = |uploads| Exists {
        repository: REPOSITORY.parse().unwrap(),
        digests: blobs.iter().map(Digest::sha256_of).collect(),
        uploads,
    };
    let opened = || stage.registry.count(&Method::POST, "/blobs/uploads/");
    assert_eq!(stage.client.post(wire::EXISTS, &wish(0)).await.status, 200);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(opened(), 0);
    for uploads in [2, 9] {
        assert_eq!(stage.client.post(wire::EXISTS, &wish(uploads)).await.status, 200);
        until(|| opened() == uploads.min(blobs.len())).await;
    }
    for blob in &blobs {
        let path = whole::path(&REPOSITORY.parse().unwrap(), &Digest::sha256_of(blob));
        assert_eq!(stage.client.send(Request::put(path), blob.clone()).await.status, 201);
    }
    assert_eq!((opened(), stage.registry.open_uploads()), (blobs.len(), 0));
}

#[tokio::test]
async fn what_the_registry_was_made_ready_for_ends_with_the_surrogate() {
    let Stage { registry, surrogate, client } = Stage::start().await;
    let digests = vec![Digest::sha256_of(b"a"), Digest::sha256_of(b"b")];
    let wish = Exists { repository: REPOSITORY.parse().unwrap(), digests, uploads: 2 };
    assert_eq!(client.post(wire::EXISTS, &wish).await.status, 200);
    until(|| registry.open_uploads() == 2).await;
    surrogate.stop().await;
    assert_eq!(registry.open_uploads(), 0);
}

/// It may have been started anew since, and then knows none of what was opened.
#[tokio::test]
async fn what_the_registry_has_lost_since_is_opened_again() {
    let stage = Stage::start().await;
    let blobs = [1, 2].map(|seed| bytes(seed, 100));
    let digests: Vec<_> = blobs.iter().map(Digest::sha256_of).collect();
    let wish = Exists { repository: REPOSITORY.parse().unwrap(), digests: digests.clone(), uploads: 2 };
    assert_eq!(stage.client.post(wire::EXISTS, &wish).await.status, 200);
    until(|| stage.registry.open_uploads() == blobs.len()).await;
    stage.registry.forget_uploads();
    let path = |digest| whole::path(&wish.repository, digest);
    let lost = stage.client.send(Request::put(path(&digests[0])), blobs[0].clone()).await;
    assert_eq!(lost.code(), Code::NotFound);
    for (blob, digest) in blobs.iter().zip(&digests) {
        assert_eq!(stage.client.send(Request::put(path(digest)), blob.clone()).await.status, 201);
    }
}

/// What arrived of it is not sent again.
#[tokio::test]
async fn a_small_blob_that_was_cut_goes_on_as_an_upload() {
    let stage = Stage::start().await;
    stage.registry.change_quirks(|quirks| quirks.drain_rate = Some(100 << 10));
    let blob = bytes(2, CHUNK);
    let digest = Digest::sha256_of(&blob);
    let path = whole::path(&REPOSITORY.parse().unwrap(), &digest);
    let sent = stage.client.send(Request::put(path), blob.clone());
    // It is received whole, but not stored by then.
    let _ = tokio::time::timeout(std::time::Duration::from_millis(500), sent).await;
    stage.registry.change_quirks(|quirks| quirks.drain_rate = None);
    let opened: Progress = stage.client.post(wire::UPLOADS, &open(&blob)).await.json();
    assert_eq!(opened.received, [Range { start: 0, end: CHUNK as u64 }]);
    assert_eq!(stage.client.commit(&opened.id, &digest, blob.len()).await.status, 201);
}

/// Those who ask as the first clients did, and those who say what nobody knows yet.
#[tokio::test]
async fn a_client_of_another_version_is_served() {
    let stage = Stage::start().await;
    for (seed, later) in [(31, json!({})), (32, json!({"later": {"some": ["thing"]}}))] {
        let blob = bytes(seed, 2 * CHUNK + 17);
        let (digest, size) = (Digest::sha256_of(&blob), blob.len());
        let extended = |mut message: Value| {
            message.as_object_mut().unwrap().extend(later.as_object().unwrap().clone());
            message
        };
        let question = extended(json!({"repository": REPOSITORY, "digests": [digest]}));
        let answer = stage.client.post(wire::EXISTS, &question).await;
        assert_eq!(answer.json::<Missing>().missing, std::slice::from_ref(&digest), "{answer:?}");
        let wish = extended(json!({"repository": REPOSITORY, "digest": digest, "size": size}));
        let answer = stage.client.post(wire::UPLOADS, &wish).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let opened: Progress = answer.json();
        let id = opened.id.clone();
        send(&stage.client, opened, &Arc::new(blob.clone())).await;
        let message = extended(json!({"digest": digest, "size": size}));
        let stored = loop {
            let answer = stage.client.post(&format!("{}/{id}/commit", wire::UPLOADS), &message).await;
            if answer.status != 202 {
                break answer;
            }
        };
        assert_eq!((stored.status.as_u16(), stored.json::<Stored>().how), (201, How::Uploaded));
        assert_eq!(stage.registry.blob(REPOSITORY, &digest.to_string()).unwrap(), blob);
    }
}
