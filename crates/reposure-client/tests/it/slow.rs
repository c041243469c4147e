//! Links that are slow, and links that do not last.

use http::Method;
use reposure_client::{
    progress::Progress,
    push::{PushOptions, push},
};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    relay::{Cuts, Link, Relay},
};

use crate::support::{Scene, image};

/// A cut would cost what is on its way, and nothing would be seen to move meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_gets_small_chunks() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(81, 1, 10 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    let address = scene.api_server.url().trim_start_matches("http://").parse().unwrap();
    // A chunk of 4 MiB takes 5 s.
    let relay = Relay::start(address, Link { bandwidth: Some(800 << 10), ..Link::default() }).unwrap();
    let session = scene.session_through(&relay, Right::Push).await;
    push(session, &artifact, &image("app:v1"), PushOptions { jobs: 1 }, Progress::none()).await.unwrap();
    scene.assert_holds(&layers, "app", "v1");
    let seen = scene.api_server.seen();
    let offsets = seen.iter().filter(|seen| seen.method == Method::PUT && seen.path.contains("/uploads/"));
    let offsets: Vec<u64> = offsets.filter_map(|seen| seen.path.rsplit('/').next()?.parse().ok()).collect();
    assert!(offsets.contains(&(6 << 20)), "the chunks stayed as large as they were: {offsets:?}");
}

/// No connection lives as long as a chunk of the size that the surrogate wishes.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_become_as_small_as_a_link_takes() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(82, 1, 9 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    let address = scene.api_server.url().trim_start_matches("http://").parse().unwrap();
    let cuts = Some(Cuts { after: 1 << 20..3 << 20, seed: 1 });
    let relay = Relay::start(address, Link { cuts, ..Link::default() }).unwrap();
    let session = scene.session_through(&relay, Right::Push).await;
    push(session, &artifact, &image("app:v1"), PushOptions::default(), Progress::none()).await.unwrap();
    scene.assert_holds(&layers, "app", "v1");
    assert!(relay.counts().cuts > 3, "{:?}", relay.counts());
}
