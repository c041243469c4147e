//! Pushes through failures of the way, and failures that are final.

use std::{
    fs::OpenOptions,
    io::{Seek as _, SeekFrom, Write as _},
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use reposure_client::{
    progress::Progress,
    pull::PullOptions,
    push::{PushError, PushOptions, push},
    session::SessionError,
};
use reposure_oci::Digest;
use reposure_parcel::{upload::CHECKED, wire::Right};
use reposure_testing::{
    RandomImage,
    api_server::{Failure, How},
    registry::{Fault, Injection},
};

use crate::{pull, support::Scene};

const CUTS: [How; 5] = [How::CutBefore, How::CutAfter, How::CutWithin(3), How::Status(503), How::Status(504)];

/// Each request of a push fails once in each way, and the image arrives all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_survives_a_failure_of_each_of_its_requests() {
    let scene = Scene::new().await;
    let paths = ["/exists", "/uploads", "/0", "/4194304", "/commit", "/v1/blobs/", "/manifests/"];
    let mut seed = 100;
    for path in paths {
        for how in CUTS {
            seed += 1;
            let image = RandomImage::new(seed, 2, 5 << 20).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&image)).await;
            scene.fail(path, how);
            let repository = format!("app{seed}");
            let pushed = scene.push(&artifact, &format!("{repository}:v1")).await;
            assert!(pushed.is_ok(), "{path} {how:?}: {pushed:?}");
            scene.assert_holds(&image, &repository, "v1");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_survives_the_loss_of_the_surrogate() {
    for channel in ["proxy", "port-forward", "exec"] {
        let mut scene = Scene::new().await;
        let image = RandomImage::new(7, 3, 20 << 20).unwrap();
        let artifact = scene.open(scene.write_oci_archive(&image)).await;
        let session = match channel {
            "port-forward" => scene.session_by_port_forward(Right::Push).await,
            "exec" => scene.session_by_exec(Right::Push).await,
            _ => scene.session(Right::Push).await,
        };
        let session = session.unwrap();
        assert_eq!(session.channel_name(), channel);
        let name = crate::support::image("app:v1");
        let options = PushOptions { jobs: Some(1), ..PushOptions::default() };
        let progress = Progress::none();
        let push = tokio::spawn(async move { push(session, &artifact, &name, options, progress).await });
        while scene.registry.received() < 24 << 20 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        scene.replace_surrogate().await;
        assert_eq!(push.await.unwrap().unwrap().to_string(), image.digest(), "{channel}");
        scene.assert_holds(&image, "app", "v1");
        // The second surrogate went on with what the registry had, but for a first chunk of each layer at most: its answer need not
        // name the place yet where the layer goes on, if the registry is slow to open its upload.
        let total: usize = image.blobs().iter().map(bytes::Bytes::len).sum();
        let most = total as u64 + 3 * (4 << 20) + (1 << 20);
        assert!(scene.registry.received() < most, "{channel}: {} of {total}", scene.registry.received());
    }
}

/// Distribution 2.8 forgets what is cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_survives_the_loss_of_the_surrogate_before_a_registry_that_forgets() {
    let mut scene = Scene::new().await;
    scene.registry.change_quirks(|quirks| quirks.stale_status_refused = true);
    let image = RandomImage::new(12, 1, 20 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    let session = scene.session(Right::Push).await.unwrap();
    let push = tokio::spawn(async move {
        let (options, progress) = (PushOptions { jobs: Some(1), ..PushOptions::default() }, Progress::none());
        push(session, &artifact, &crate::support::image("app:v1"), options, progress).await
    });
    while scene.registry.received() < 8 << 20 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    scene.replace_surrogate().await;
    assert_eq!(push.await.unwrap().unwrap().to_string(), image.digest());
    scene.assert_holds(&image, "app", "v1");
    assert!(scene.registry.received() >= 28 << 20, "it began again");
}

/// A slow uplink would be busy with nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn no_chunk_is_sent_to_a_surrogate_that_is_away() {
    let scene = Scene::new().await;
    let image = RandomImage::new(13, 1, 5 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.fail("/4194304", How::CutBefore);
    // All that is asked of the upload behind its first chunk.
    let away = Failure { path: "/uploads/".into(), after: 1, times: 4, how: How::Status(503) };
    scene.api_server.fail(away);
    let session = scene.session(Right::Push).await.unwrap();
    let options = PushOptions { jobs: Some(1), ..PushOptions::default() };
    push(session, &artifact, &crate::support::image("app:v1"), options, Progress::none()).await.unwrap();
    scene.assert_holds(&image, "app", "v1");
    assert_eq!(scene.api_server.heal(), 0, "nobody asked");
    let seen = scene.api_server.seen();
    let sent = seen.iter().filter(|seen| seen.path.ends_with("/4194304")).count();
    assert_eq!(sent, 2, "{seen:?}");
}

/// A registry without a volume has nothing once it is started anew, not even what it has confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_has_lost_blobs_gets_them_again() {
    let scene = Scene::new().await;
    let image = RandomImage::new(11, 2, 1000).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    let lost = |times| Injection {
        method: Some(Method::PUT),
        path: "/manifests/".into(),
        skip: 0,
        times,
        fault: Fault::code(400, "MANIFEST_BLOB_UNKNOWN"),
    };
    scene.registry.inject(lost(2));
    scene.push(&artifact, "app:v1").await.unwrap();
    scene.assert_holds(&image, "app", "v1");
    let asked = scene.api_server.seen().iter().filter(|seen| seen.path.ends_with("/exists")).count();
    assert_eq!(asked, 3);
    // Who loses them each time is given up.
    scene.registry.inject(lost(usize::MAX));
    let refused = scene.push(&artifact, "app:v2").await;
    assert!(matches!(refused, Err(PushError::Manifest { .. })), "{refused:?}");
}

/// Chunks to a pod that is gone are answered by nobody; the new surrogate says that it does not know the upload.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_does_not_wait_for_answers_of_a_surrogate_that_is_gone() {
    let mut scene = Scene::new().await;
    let image = RandomImage::new(10, 1, 30 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    let session = scene.session(Right::Push).await.unwrap();
    let name = crate::support::image("app:v1");
    for offset in ["/12582912", "/16777216", "/20971520", "/25165824", "/29360128"] {
        scene.fail(offset, How::Hang);
    }
    let options = PushOptions::default();
    let progress = Progress::none();
    let push = tokio::spawn(async move { push(session, &artifact, &name, options, progress).await });
    while scene.registry.received() < 12 << 20 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    scene.replace_surrogate().await;
    // Without that question each chunk would be waited for for two minutes and a half.
    let pushed = tokio::time::timeout(Duration::from_secs(60), push).await;
    assert_eq!(pushed.expect("it ends").unwrap().unwrap().to_string(), image.digest());
    scene.assert_holds(&image, "app", "v1");
}

/// In chunks, in one request, and where the registry alone hashes it, as it has proved with another image that it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_source_is_named_and_leaves_no_tag() {
    for (size, is_checked) in [(6 << 20, false), (64 << 10, false), (10 << 20, true)] {
        let scene = Scene::new().await;
        let mut seed = 0;
        // The question goes beside a blob, and may come too late for a fast one.
        while scene.session(Right::Push).await.unwrap().hello().can(CHECKED) != is_checked {
            seed += 1;
            assert!(seed < 20, "the registry is not asked");
            let good = RandomImage::new(seed, 1, 10 << 20).unwrap();
            scene.push(&scene.open(scene.write_oci_archive(&good)).await, "other:v1").await.unwrap();
        }
        let image = RandomImage::new(8, 2, size).unwrap();
        let path = scene.write_oci_archive(&image);
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(size as u64 * 3 / 2)).unwrap();
        file.write_all(b"something else").unwrap();
        let artifact = scene.open(path.clone()).await;
        let refusals = || {
            scene
                .registry
                .requests()
                .iter()
                .filter(|entry| entry.status == Some(StatusCode::BAD_REQUEST))
                .count()
        };
        let before = refusals();
        let pushed = scene.push(&artifact, "app:v1").await;
        let Err(PushError::Corrupt { origin: Some(origin), .. }) = &pushed else { panic!("{pushed:?}") };
        assert!(origin.contains(path.to_str().unwrap()), "{origin}");
        assert_eq!(refusals() - before, usize::from(is_checked));
        assert!(scene.registry.tags("app").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_api_server_is_final_and_named() {
    let scene = Scene::new().await;
    scene.api_server.fail(Failure { path: "/hello".into(), after: 0, times: 9, how: How::Status(403) });
    let Err(SessionError::ApiServer { status, message, .. }) = scene.session(Right::Pull).await else {
        panic!("no refusal")
    };
    assert_eq!((status, message.as_str()), (StatusCode::FORBIDDEN, "no endpoints available"));
}

/// A disk that is full stays full, and a quota stays used up: what comes again would take the room that others make.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_room_is_named_and_sent_nothing_twice() {
    let full = r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"write /data: no space left on device"}]}"#;
    let full = Fault::Answer { status: 500, headers: Vec::new(), body: full.into() };
    for (seed, size, fault, words) in [
        (12, 6 << 20, Fault::status(507), "507 Insufficient Storage, its disk is full"),
        (13, 6 << 20, full.clone(), "UNKNOWN (unknown error), its disk is full"),
        (14, 1000, full, "UNKNOWN (unknown error), its disk is full"),
        (15, 1000, Fault::code(403, "DENIED"), "403 Forbidden: DENIED"),
    ] {
        let scene = Scene::new().await;
        let image = RandomImage::new(seed, 1, size).unwrap();
        let artifact = scene.open(scene.write_oci_archive(&image)).await;
        let refused = Injection::next(Method::PUT, "/blobs/uploads/", fault);
        scene.registry.inject(Injection { times: usize::MAX, ..refused });
        let error = scene.push(&artifact, "app:v1").await.unwrap_err();
        let said = error.to_string();
        let PushError::Upload { source, size, left, digest } = error else { panic!("{error:?}") };
        // So that whoever makes room knows how much.
        let blobs = image.blobs();
        let blob = blobs.iter().find(|blob| Digest::sha256_of(blob) == digest).unwrap();
        let total: usize = blobs.iter().map(bytes::Bytes::len).sum();
        assert_eq!(size, blob.len() as u64);
        assert!(left >= size && left <= total as u64, "{left} of {total}");
        assert!(said.contains(&format!("{size} bytes, of {left} ")), "{said}");
        assert!(source.hop() == "registry" && source.to_string().contains(words), "{source}");
        let sent = scene.registry.count(&Method::PUT, "/blobs/uploads/");
        assert!(sent <= image.blobs().len(), "{sent} requests");
        assert!(scene.registry.tags("app").is_empty());
        // What was opened for a blob that does not come stays for some seconds.
        for _ in 0..1000 {
            if scene.registry.open_uploads() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(scene.registry.open_uploads(), 0, "what was half there takes room");
    }
}

/// A registry that says when it wants to be asked again is not asked earlier, of large blobs and small ones, up and down.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_busy_is_left_alone_for_as_long_as_it_says() {
    const WAIT: Duration = Duration::from_secs(2);
    for (seed, size) in [(16, 6 << 20), (17, 1000)] {
        let scene = Scene::new().await;
        let image = RandomImage::new(seed, 1, size).unwrap();
        let artifact = scene.open(scene.write_oci_archive(&image)).await;
        let digest = Digest::sha256_of(image.blobs().iter().max_by_key(|blob| blob.len()).unwrap());
        let busy = || Fault::retry_after(429, WAIT.as_secs());
        scene.registry.inject(Injection::next(Method::PUT, "/blobs/uploads/", busy()));
        let began = Instant::now();
        scene.push(&artifact, "app:v1").await.unwrap();
        assert!(began.elapsed() >= WAIT, "{size}: {:?}", began.elapsed());
        scene.assert_holds(&image, "app", "v1");
        scene.registry.inject(Injection::next(Method::GET, digest.to_string(), busy()));
        let began = Instant::now();
        let pulled = pull::pull_into_file(&scene, "app:v1", PullOptions::default()).await.unwrap();
        assert!(began.elapsed() >= WAIT, "{size}: {:?}", began.elapsed());
        assert!(pulled == image.blobs());
    }
}
