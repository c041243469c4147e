//! Blobs that are read without TLS between the API server and the surrogate.

use std::time::Duration;

use reposure_client::pull::{PullOptions, fetch_tree};
use reposure_parcel::{wire, wire::Right};
use reposure_testing::{RandomImage, api_server::Behaviour};

use crate::{
    pull::pull_into_file,
    support::{Scene, image},
};

/// Pulls an image that is large enough for tickets, and tells of each request for a blob whether it went without TLS.
async fn pull(scene: &Scene) -> Vec<bool> {
    let image = RandomImage::of_sizes(21, &[5 << 20, 4 << 20]).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.push(&artifact, "app:v1").await.unwrap();
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
