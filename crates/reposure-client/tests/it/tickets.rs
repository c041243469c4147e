//! Blobs that are read, and chunks that are sent, without TLS between the API server and the surrogate.

use std::time::Duration;

use http::Method;
use reposure_client::{
    progress::Progress,
    pull::{PullOptions, fetch_tree},
    push::{PushOptions, push},
};
use reposure_parcel::{wire, wire::Right};
use reposure_testing::{RandomImage, api_server::Behaviour};

use crate::{
    pull::pull_into_file,
    support::{Scene, image},
};

/// Pulls an image that is large enough for tickets, and tells of each request for a blob whether it went without TLS.
async fn pull(scene: &Scene) -> Vec<bool> {
    let image = RandomImage::of_sizes(21, &[5 << 20, 4 << 20]).unwrap();
    scene.push_image(&image).await;
    scene.api_server.forget();
    // However slow the machine is, this link is short.
    let options = PullOptions { near: Duration::MAX, ..PullOptions::default() };
    let pulled = pull_into_file(scene, "app:v1", options).await.unwrap();
    assert!(pulled.iter().eq(image.blobs().iter()));
    let seen = scene.api_server.seen();
    assert!(seen.iter().all(|seen| !seen.clear || seen.path.contains("/blobs/")), "{seen:?}");
    seen.iter().filter(|seen| seen.path.contains("/blobs/")).map(|seen| seen.clear).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_a_registry_without_tls_need_none() {
    let scene = Scene::new().await;
    let clear = pull(&scene).await;
    assert!(clear.len() >= 3 && clear.iter().all(|clear| *clear), "{clear:?}");
}

/// Who may reach the pod over TLS alone does so, after having been refused once per request that was under way.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_go_without_tls_goes_over_it() {
    let scene = Scene::with(Behaviour { refuses_clear: true, ..Behaviour::default() }).await;
    let clear = pull(&scene).await;
    assert!(clear.contains(&true) && clear.iter().filter(|clear| !**clear).count() >= 3, "{clear:?}");
}

/// Pushes what has a blob of several chunks and a small one, and tells of each chunk whether it went without TLS; nothing else did.
async fn push_chunks(scene: &Scene) -> Vec<bool> {
    let pushed = RandomImage::of_sizes(22, &[31 << 20, 1 << 20]).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&pushed)).await;
    let session = scene.session(Right::Push).await.unwrap();
    // One after the other, so that all but the first know what became of the one before.
    let options = PushOptions { near: Duration::MAX, jobs: Some(1), ..PushOptions::default() };
    push(session, &artifact, &image("app:v1"), options, Progress::none()).await.unwrap();
    scene.assert_holds(&pushed, "app", "v1");
    let seen = scene.api_server.seen();
    let (chunks, others): (Vec<_>, Vec<_>) =
        seen.iter().partition(|seen| seen.method == Method::PUT && seen.path.starts_with(wire::UPLOADS));
    assert!(others.iter().all(|seen| !seen.clear), "{others:?}");
    chunks.iter().map(|seen| seen.clear).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_for_a_registry_without_tls_need_none() {
    let scene = Scene::new().await;
    let clear = push_chunks(&scene).await;
    assert!(clear.len() >= 8 && clear.iter().all(|clear| *clear), "{clear:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_send_without_tls_is_refused_once() {
    let scene = Scene::with(Behaviour { refuses_clear: true, ..Behaviour::default() }).await;
    let clear = push_chunks(&scene).await;
    assert!(clear.len() >= 9 && clear[0] && clear[1..].iter().all(|clear| !clear), "{clear:?}");
}

/// A forwarded port ends beside the surrogate, and is encrypted up to there.
#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_port_needs_no_tls_of_its_own() {
    let scene = Scene::new().await;
    let session = scene.session_by_port_forward(Right::Push).await.unwrap();
    assert!(session.hello().can(wire::PLAIN));
    assert!(fetch_tree(&session, &image("app:v1")).await.is_err(), "there is none");
    // One connection over TLS for the first hello, one without for all that follows, or two where the first was not free again at once.
    let forwarded = scene.api_server.seen().iter().filter(|seen| seen.path.contains("portforward")).count();
    assert!((2..=3).contains(&forwarded), "{forwarded}");
}
