//! Uploads that are lost with the surrogate, and go on with what the registry has of them.

use std::time::Duration;

use http::Method;
use reposure_oci::Digest;
use reposure_parcel::{
    problem::Code,
    upload::{Open, Progress, Range, Resume},
    wire,
};
use reposure_testing::{Fault, Injection, Quirks};

use crate::harness::{CHUNK, REPOSITORY, Stage, bytes, open};

const MIB: u64 = 1 << 20;
const SIZE: usize = 6 * CHUNK + 1234;

/// Sends chunks of a blob, and returns what the surrogate says after the last one.
async fn send(stage: &Stage, opened: Progress, blob: &[u8], chunks: std::ops::Range<usize>) -> Progress {
    let mut progress = opened;
    for start in chunks.map(|number| number * CHUNK) {
        let end = (start + CHUNK).min(blob.len());
        let answer = stage.client.put(&progress.id, start, &blob[start..end]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        progress = answer.json();
    }
    progress
}

/// Sends the first half of a blob, sees to it that some of it is at the registry, and returns what to go on with.
async fn begin(stage: &Stage, blob: &[u8]) -> Option<Resume> {
    let opened = stage.client.open(blob).await;
    assert_eq!(opened.resume, None, "nothing is at the registry");
    let id = send(stage, opened, blob, 0..3).await.id;
    while stage.registry.received() < 2 * CHUNK as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.client.progress(&id).await.json::<Progress>().resume
}

async fn reopen(stage: &Stage, blob: &[u8], resume: Option<Resume>) -> Progress {
    let answer = stage.client.post(wire::UPLOADS, &Open { resume, ..open(blob) }).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// Sends what the surrogate lacks, and sees to it that the registry has the blob.
async fn complete(stage: &Stage, blob: &[u8], opened: Progress) {
    let from = opened.received.first().map_or(0, |range| range.end);
    let first = usize::try_from(from).unwrap() / CHUNK;
    let id = send(stage, opened, blob, first..blob.len().div_ceil(CHUNK)).await.id;
    let digest = Digest::sha256_of(blob);
    let answer = stage.client.commit(&id, &digest, blob.len()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(stage.registry.blob(REPOSITORY, &digest.to_string()).is_some_and(|stored| stored == blob));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_surrogate_goes_on_with_what_the_registry_has() {
    let mut stage = Stage::start().await;
    let blob = bytes(1, SIZE);
    let resume = begin(&stage, &blob).await;
    stage.replace_surrogate().await;
    let before = stage.registry.received();
    let opened = reopen(&stage, &blob, resume).await;
    let [Range { start: 0, end }] = opened.received[..] else { panic!("{opened:?}") };
    assert!(end >= 2 * CHUNK as u64 && opened.window.from == end, "{opened:?}");
    complete(&stage, &blob, opened).await;
    assert_eq!(stage.registry.received() - before, SIZE as u64 - end, "each byte once");
    assert_eq!(stage.registry.open_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_go_on_in_the_middle_too() {
    let stage = Stage::start().await;
    stage.registry.change_quirks(|quirks| quirks.body_limit = Some(MIB));
    let (blob, first) = (bytes(2, SIZE), bytes(9, SIZE));
    // Until the surrogate knows how long they may be.
    while !try_to_push(&stage, &first).await {}
    stage.registry.clear_requests();
    let cut = Fault::DropAfter(300_000);
    stage.registry.inject(Injection { skip: 1, ..Injection::next(Method::PATCH, "/blobs/uploads/", cut) });
    let opened = stage.client.open(&blob).await;
    let (id, resume) = (opened.id.clone(), lose(&stage, opened, &blob).await);
    assert_ne!(stage.client.commit(&id, &Digest::sha256_of(&blob), SIZE).await.status, 201);
    let opened = reopen(&stage, &blob, resume).await;
    let there = opened.received[0].end;
    assert!(there > MIB + 300_000 - 1 && there % (256 << 10) > 0, "{opened:?}");
    complete(&stage, &blob, opened).await;
    let pieces = stage.registry.requests().into_iter().filter(|entry| entry.method == Method::PATCH);
    let lengths: Vec<u64> = pieces.map(|entry| entry.received).collect();
    assert_eq!((lengths[0], lengths.iter().sum()), (MIB, SIZE as u64), "{lengths:?}");
    assert!(lengths.iter().all(|length| *length <= MIB), "{lengths:?}");
}

/// Sends all of a blob, and tells whether it is stored.
async fn try_to_push(stage: &Stage, blob: &[u8]) -> bool {
    let opened = stage.client.open(blob).await;
    for start in (0..blob.len()).step_by(CHUNK) {
        stage.client.put(&opened.id, start, &blob[start..(start + CHUNK).min(blob.len())]).await;
    }
    stage.client.commit(&opened.id, &Digest::sha256_of(blob), blob.len()).await.status == 201
}

/// Sends chunks until the upload is lost, and returns what to go on with.
async fn lose(stage: &Stage, opened: Progress, blob: &[u8]) -> Option<Resume> {
    let (mut resume, mut number) = (None, 0);
    loop {
        let start = number * CHUNK;
        let answer = stage.client.put(&opened.id, start, &blob[start..(start + CHUNK).min(blob.len())]).await;
        if answer.status != 200 {
            assert!(answer.problem().transient, "{answer:?}");
            return resume;
        }
        resume = answer.json::<Progress>().resume.or(resume);
        // What is there already may be sent again.
        number = (number + 1).min(3);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_tell_gets_the_blob_from_its_start() {
    let changes: [fn(&mut Quirks); 2] =
        [|quirks| quirks.stale_status_refused = true, |quirks| quirks.status_refused = true];
    for change in changes {
        let mut stage = Stage::start().await;
        stage.registry.change_quirks(change);
        let blob = bytes(3, SIZE);
        let resume = begin(&stage, &blob).await;
        assert!(resume.is_some());
        stage.replace_surrogate().await;
        let opened = reopen(&stage, &blob, resume).await;
        assert_eq!(opened.received, []);
        complete(&stage, &blob, opened).await;
    }
}

/// The registry has other bytes than it should: they are not the client's fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_comes_out_wrong_is_sent_anew() {
    let mut stage = Stage::start().await;
    let (blob, other) = (bytes(4, SIZE), bytes(5, SIZE));
    let of_other = begin(&stage, &other).await;
    stage.replace_surrogate().await;
    let opened = reopen(&stage, &blob, of_other).await;
    let id = send(&stage, opened, &blob, 2..7).await.id;
    let answer = stage.client.commit(&id, &Digest::sha256_of(&blob), SIZE).await;
    assert_eq!((answer.code(), answer.problem().upstream_status), (Code::NotFound, Some(400)));
    let opened = reopen(&stage, &blob, None).await;
    complete(&stage, &blob, opened).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_asked_for_than_an_upload_of_the_repository() {
    let stage = Stage::start().await;
    let blob = bytes(6, 1000);
    for forged in [
        "/v2/other/app/blobs/uploads/1",
        "/v2/some/app/manifests/v1",
        "/v2/some/app/blobs/uploads/../../../other/tags/list",
        "http://evil/v2/some/app/blobs/uploads/1",
    ] {
        let opened = reopen(&stage, &blob, Some(Resume(forged.into()))).await;
        assert_eq!(opened.received, []);
        stage.client.cancel(&opened.id).await;
    }
    let mut asked = stage.registry.requests();
    // It is asked now and then whether it is well.
    asked.retain(|entry| entry.path != "/v2/");
    assert!(asked.iter().all(|entry| entry.method == Method::HEAD), "{asked:?}");
}

/// The connection to the registry breaks, and nobody is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_before_the_registry_goes_on_there() {
    let stage = Stage::start().await;
    let fault = Fault::DropAfter(2 * MIB);
    stage.registry.inject(Injection::next(Method::PUT, "/blobs/uploads/", fault));
    let blob = bytes(7, SIZE);
    let opened = stage.client.open(&blob).await;
    let (id, resume) = (opened.id.clone(), lose(&stage, opened, &blob).await);
    assert_ne!(stage.client.commit(&id, &Digest::sha256_of(&blob), SIZE).await.status, 201);
    let opened = reopen(&stage, &blob, resume).await;
    assert!(opened.received[0].end >= 2 * MIB, "{opened:?}");
    complete(&stage, &blob, opened).await;
}

/// Those who give an upload up do not leave it at the registry, but a surrogate that ends does.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_outlives_the_end_of_the_surrogate_alone() {
    let mut stage = Stage::start().await;
    let blob = bytes(8, SIZE);
    let resume = begin(&stage, &blob).await;
    let next = crate::harness::config(&stage.registry.host(), reposure_parcel::config::Access::Loopback);
    let next = reposure_surrogate::Surrogate::start(next).await.unwrap();
    let ending = std::mem::replace(&mut stage.surrogate, next);
    ending.stop().await;
    stage.client = crate::harness::SurrogateClient::new(&stage.surrogate);
    assert_eq!(stage.registry.open_uploads(), 1);
    let opened = reopen(&stage, &blob, resume).await;
    assert!(opened.received[0].end >= 2 * CHUNK as u64, "{opened:?}");
    send(&stage, opened.clone(), &blob, 3..4).await;
    stage.client.cancel(&opened.id).await;
    while stage.registry.open_uploads() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
