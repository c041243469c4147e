//! The channel `exec`, and what takes the place of a channel that stays broken.

use std::{error::Error as _, sync::Arc};

use reposure_client::{
    progress::Progress,
    pull::PullOptions,
    push::{PushOptions, push},
    session::{Session, SessionError},
};
use reposure_oci::Artifact;
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    api_server::{Behaviour, Failure, How, Version},
};

use crate::{pull, support::Scene, support::image};

const PATH: &str = "/exec";

async fn push_over(session: Arc<Session>, artifact: &Artifact) {
    let pushed = push(session, artifact, &image("app:v1"), PushOptions::default(), Progress::none()).await;
    pushed.unwrap();
}

/// How many processes were asked for.
fn processes(scene: &Scene) -> usize {
    scene.api_server.seen().iter().filter(|seen| seen.path.contains(PATH)).count()
}

async fn there_and_back(behaviour: Behaviour, image: &RandomImage) -> Scene {
    let scene = Scene::with(behaviour).await;
    let artifact = scene.open(scene.write_oci_archive(image)).await;
    let session = scene.session_by_exec(Right::Push).await.unwrap();
    assert_eq!(session.channel_name(), "exec");
    push_over(session.clone(), &artifact).await;
    scene.assert_holds(image, "app", "v1");
    let pulled = pull::pull_into_file_over(&session, "app:v1", PullOptions::default()).await.unwrap();
    assert!(pulled.iter().eq(image.blobs().iter()));
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_there_and_back_in_two_sessions() {
    let layers = RandomImage::of_sizes(51, &[(9 << 20) + 1, 100, 0, 5 << 20]).unwrap();
    let scene = there_and_back(Behaviour::default(), &layers).await;
    assert_eq!(processes(&scene), 2);
    let seen = scene.api_server.seen();
    assert!(seen.iter().all(|seen| seen.path.contains(PATH)), "another way was taken: {seen:?}");
    let command = "container=surrogate&command=%2Freposure-surrogate&command=session&stdin=true&stdout=true&stderr=true";
    assert!(seen.iter().all(|seen| seen.path.ends_with(command)), "{seen:?}");
}

/// API servers before 1.30 speak version 4 alone, and what stands before newer ones may know version 5 alone.
#[tokio::test(flavor = "multi_thread")]
async fn either_version_of_the_protocol_is_spoken_where_it_is_the_only_one() {
    let layers = RandomImage::of_sizes(52, &[100_000, 10]).unwrap();
    for (version, asked) in [(Version::V4, 1), (Version::V5, 2)] {
        let scene = there_and_back(Behaviour { exec: Some(version), ..Behaviour::default() }, &layers).await;
        // Both sessions ask for version 4 first, which costs the API server a fifth of the other.
        assert_eq!(processes(&scene), 2 * asked, "{version:?}");
    }
}

/// Proxies may cut messages as they like.
#[tokio::test(flavor = "multi_thread")]
async fn single_bytes_make_no_difference() {
    let layers = RandomImage::of_sizes(52, &[100_000, 10]).unwrap();
    there_and_back(Behaviour { largest_message: Some(1), ..Behaviour::default() }, &layers).await;
}

/// Each costs the API server and the kubelet the same work, however little is in it.
#[tokio::test(flavor = "multi_thread")]
async fn bulk_goes_in_large_messages() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(57, 2, 10 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    let session = scene.session_by_exec(Right::Push).await.unwrap();
    push_over(session, &artifact).await;
    let messages = scene.api_server.messages();
    assert!(messages.bytes >= 20 << 20 && messages.bytes / messages.count >= 48 << 10, "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_break_are_opened_again() {
    for (seed, how) in
        [How::CutWithin(100), How::CutWithin(0), How::CutBefore, How::CutAfter, How::Status(503)]
            .into_iter()
            .enumerate()
    {
        let scene = Scene::new().await;
        let layers = RandomImage::new(60 + seed as u64, 2, 6 << 20).unwrap();
        let artifact = scene.open(scene.write_oci_archive(&layers)).await;
        let session = scene.session_by_exec(Right::Push).await.unwrap();
        scene.fail(PATH, how);
        push_over(session.clone(), &artifact).await;
        scene.assert_holds(&layers, "app", "v1");
        assert_eq!(scene.api_server.heal(), 0, "nothing broke: {how:?}");
    }
}

/// Returns where each frame of HTTP/2 ends in what a server has sent. See [RFC 9113, 4.1][1].
///
/// [1]: https://www.rfc-editor.org/rfc/rfc9113#section-4.1
fn ends_of_frames(bytes: &[u8]) -> Vec<usize> {
    let mut end = 0;
    let next = || {
        let [a, b, c, ..] = bytes.get(end..end + 9)? else { return None };
        end += 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize;
        (end < bytes.len()).then_some(end)
    };
    std::iter::from_fn(next).collect()
}

/// What ends between two frames looks whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_behind_any_of_its_frames_is_no_end_of_an_answer() {
    let scene = Scene::with(Behaviour { records: true, ..Behaviour::default() }).await;
    let layers = RandomImage::of_sizes(58, &[200_000, 10]).unwrap();
    scene.push_image(&layers).await;
    // All in one session, one after the other.
    let options =
        PullOptions { jobs: Some(1), range: 60_000, longest_range: 60_000, ..PullOptions::default() };
    let session = scene.session_by_exec(Right::Pull).await.unwrap();
    pull::pull_into_file_over(&session, "app:v1", options).await.unwrap();
    let ends = ends_of_frames(&scene.api_server.records()[0]);
    assert!(ends.len() > 15, "{ends:?}");
    let mut cut = 0;
    for end in ends {
        scene.fail(PATH, How::CutWithin(end));
        let before = processes(&scene);
        // Where not even the hello came there is no session.
        let Ok(session) = scene.session_by_exec(Right::Pull).await else { continue };
        let pulled = pull::pull_into_file_over(&session, "app:v1", options).await.unwrap();
        assert!(pulled.iter().eq(layers.blobs().iter()), "{end}");
        cut += usize::from(processes(&scene) > before + 1);
    }
    assert!(cut > 10, "{cut} sessions were cut in the middle");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_goes_on_where_its_session_broke() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(53, 2, 6 << 20).unwrap();
    scene.push_image(&layers).await;
    scene.fail(PATH, How::CutWithin(3_000_000));
    let session = scene.session_by_exec(Right::Pull).await.unwrap();
    let pulled = pull::pull_into_file_over(&session, "app:v1", PullOptions::default()).await.unwrap();
    assert!(pulled.iter().eq(layers.blobs().iter()));
    assert!(processes(&scene) > 1, "nothing broke");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_surrogate_that_is_replaced_is_found_again() {
    let mut scene = Scene::new().await;
    let layers = RandomImage::new(54, 2, 3 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    let session = scene.session_by_exec(Right::Push).await.unwrap();
    scene.replace_surrogate().await;
    push_over(session, &artifact).await;
    scene.assert_holds(&layers, "app", "v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_the_upgrade_is_the_api_servers() {
    let scene = Scene::new().await;
    scene.fail(PATH, How::Status(403));
    let error = scene.session_by_exec(Right::Pull).await.unwrap_err();
    let SessionError::ApiServer { status, .. } = &error else { panic!("{error:?}") };
    assert_eq!(status.as_u16(), 403);
    assert!(!error.is_transient());
}

/// The API server upgrades before anything is started.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_start_is_no_success() {
    let scene = Scene::new().await;
    scene.fail(PATH, How::CutAfter);
    let error = scene.session_by_exec(Right::Pull).await.unwrap_err();
    assert!(error.is_transient() && error.hop() == "surrogate", "{error:?}");
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    for part in ["no session began", "no such file", "non-zero exit code"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_on_over_another_channel_where_its_own_is_closed() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(55, 2, 6 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    let session = scene.session_with_alternatives(Right::Push).await;
    assert_eq!(session.channel_name(), "proxy");
    // From the third chunk on, for good.
    let closed = Failure { path: "/uploads/".into(), after: 2, times: usize::MAX, how: How::Status(403) };
    scene.api_server.fail(closed);
    push_over(session.clone(), &artifact).await;
    scene.assert_holds(&layers, "app", "v1");
    assert_eq!(session.channel_name(), "exec");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_on_over_another_channel_where_its_own_stays_broken() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(56, 2, 6 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    let session = scene.session_with_alternatives(Right::Push).await;
    let broken = Failure { path: "/uploads/".into(), after: 2, times: usize::MAX, how: How::CutBefore };
    scene.api_server.fail(broken);
    push_over(session.clone(), &artifact).await;
    scene.assert_holds(&layers, "app", "v1");
    assert_eq!(session.channel_name(), "exec");
}

/// Pulls over the proxy, where all that is asked of blobs fails from the third range on, and says that it went on by `exec`.
async fn pull_goes_on(how: How, in_place: bool) {
    let scene = Scene::new().await;
    let layers = RandomImage::new(59, 2, 6 << 20).unwrap();
    scene.push_image(&layers).await;
    let session = scene.session_with_alternatives(Right::Pull).await;
    scene.api_server.fail(Failure { path: "/blobs/".into(), after: 2, times: usize::MAX, how });
    if in_place {
        let pulled = pull::pull_into_file_over(&session, "app:v1", pull::options()).await.unwrap();
        assert!(pulled == layers.blobs(), "{how:?}");
    } else {
        let pulled = pull::pull_over(&session, "app:v1").await.unwrap();
        assert_eq!(pulled, pull::digests(&layers), "{how:?}");
    }
    assert_eq!(session.channel_name(), "exec", "{how:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_over_another_channel_where_its_own_is_closed() {
    pull_goes_on(How::Status(403), true).await;
    pull_goes_on(How::Status(403), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_over_another_channel_where_its_own_stays_broken() {
    tokio::join!(pull_goes_on(How::CutBefore, true), pull_goes_on(How::Status(503), false));
}
