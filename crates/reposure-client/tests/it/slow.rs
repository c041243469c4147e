//! Links that are slow, links that are long, and links that do not last.

use std::time::Duration;

use http::Method;
use reposure_client::{
    progress::Progress,
    pull::PullOptions,
    push::{PushOptions, push},
};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    relay::{Cuts, Link, Relay},
};

use crate::{
    pull,
    support::{Scene, image},
};

/// Returns where the chunks began that were sent.
fn offsets(scene: &Scene) -> Vec<u64> {
    let seen = scene.api_server.seen();
    let sent = seen.iter().filter(|seen| seen.method == Method::PUT && seen.path.contains("/uploads/"));
    sent.filter_map(|seen| seen.path.rsplit('/').next()?.parse().ok()).collect()
}

/// More exchanges are under way at once, and each is smaller, unless the user says how many.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_way_is_filled_by_many_exchanges() {
    for (jobs, chunk, ranges) in [(None, 2 << 20, 16..=17), (Some(8), 4 << 20, 5..=6)] {
        let scene = Scene::new().await;
        let layers = RandomImage::new(83, 1, 40 << 20).unwrap();
        let artifact = scene.open(scene.write_oci_archive(&layers)).await;
        let address = scene.api_server.url().trim_start_matches("http://").parse().unwrap();
        let far = Link { round_trip: Duration::from_millis(60), ..Link::default() };
        let relay = Relay::start(address, far).unwrap();
        let session = scene.session_through(&relay, Right::Push).await;
        let options = PushOptions { jobs, ..PushOptions::default() };
        push(session.clone(), &artifact, &image("app:v1"), options, Progress::none()).await.unwrap();
        scene.assert_holds(&layers, "app", "v1");
        let smallest = offsets(&scene).into_iter().filter(|offset| *offset > 0).min();
        assert_eq!(smallest, Some(chunk), "{jobs:?}");

        scene.api_server.forget();
        let options = PullOptions { jobs, ..PullOptions::default() };
        let pulled = pull::pull_into_file_over(&session, "app:v1", options).await.unwrap();
        assert!(pulled == layers.blobs());
        let seen = scene.api_server.seen();
        let digest = layers.blobs().into_iter().max_by_key(bytes::Bytes::len).unwrap();
        let digest = reposure_oci::Digest::sha256_of(&digest).to_string();
        let asked = seen.iter().filter(|seen| seen.path.contains(&digest)).count();
        assert!(ranges.contains(&asked), "{jobs:?}: {asked}");
    }
}

/// Each connection has a bandwidth of its own, though the way is short.
#[tokio::test(flavor = "multi_thread")]
async fn more_ranges_are_fetched_at_once_where_that_is_quicker() {
    for (jobs, expected) in [(None, 10..=18), (Some(5), 5..=6)] {
        let scene = Scene::new().await;
        let layers = RandomImage::new(84, 1, 60 << 20).unwrap();
        scene.push_image(&layers).await;
        let address = scene.api_server.url().trim_start_matches("http://").parse().unwrap();
        let relay = Relay::start(address, Link { bandwidth: Some(3 << 20), ..Link::default() }).unwrap();
        let session = scene.session_through(&relay, Right::Pull).await;
        let options = PullOptions { jobs, range: 1 << 20, longest_range: 1 << 20, ..PullOptions::default() };
        let pulled = pull::pull_into_file_over(&session, "app:v1", options).await.unwrap();
        assert!(pulled == layers.blobs());
        let connections = relay.counts().connections;
        assert!(expected.contains(&connections), "{jobs:?}: {connections}");
    }
}

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
    push(
        session,
        &artifact,
        &image("app:v1"),
        PushOptions { jobs: Some(1), ..PushOptions::default() },
        Progress::none(),
    )
    .await
    .unwrap();
    scene.assert_holds(&layers, "app", "v1");
    let offsets = offsets(&scene);
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

/// Balancers and proxies forget connections that are silent for a time. What is opened anew costs no error.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_cut_while_idle_are_opened_again() {
    let scene = Scene::new().await;
    let address = scene.api_server.url().trim_start_matches("http://").parse().unwrap();
    let relay = Relay::start(address, Link::default()).unwrap();
    for (number, session) in scene.sessions_through(&relay, Right::Push).await.into_iter().enumerate() {
        let channel = session.channel_name();
        for part in ["before", "after"] {
            let seed = 83 + 2 * number as u64 + u64::from(part == "after");
            let layers = RandomImage::new(seed, 2, 1 << 20).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&layers)).await;
            let name = format!("{channel}:{part}");
            push(session.clone(), &artifact, &image(&name), PushOptions::default(), Progress::none())
                .await
                .unwrap();
            scene.assert_holds(&layers, channel, part);
            let before = relay.counts().cuts;
            relay.cut(Duration::from_millis(1));
            assert!(relay.wait_for(Duration::from_secs(10), |counts| counts.cuts > before), "{channel}");
        }
    }
}
