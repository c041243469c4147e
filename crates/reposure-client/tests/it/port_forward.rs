//! The channel `port-forward`.

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
    api_server::{Behaviour, Failure, How, Tunnels},
};

use crate::{pull, support::Scene, support::image};

const PATH: &str = "/portforward";
/// What an API server may do with a request for a tunnel.
const TUNNELS: [Tunnels; 3] = [Tunnels::Given, Tunnels::Unknown, Tunnels::Refused];

async fn scene_with(tunnels: Tunnels) -> Scene {
    Scene::with(Behaviour { tunnels, ..Behaviour::default() }).await
}

fn streams(scene: &Scene) -> usize {
    scene.api_server.seen().iter().filter(|seen| seen.path.contains(PATH)).count()
}

async fn push_over(session: Arc<Session>, artifact: &Artifact) {
    let pushed = push(session, artifact, &image("app:v1"), PushOptions::default(), Progress::none()).await;
    pushed.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_there_and_back() {
    let layers = RandomImage::of_sizes(31, &[(9 << 20) + 1, 100, 0, 5 << 20]).unwrap();
    for tunnels in TUNNELS {
        let scene = scene_with(tunnels).await;
        let artifact = scene.open(scene.write_oci_archive(&layers)).await;
        let session = scene.session_by_port_forward(Right::Push).await.unwrap();
        assert_eq!(session.channel_name(), "port-forward");
        push_over(session.clone(), &artifact).await;
        scene.assert_holds(&layers, "app", "v1");
        let pulled = pull::pull_into_file_over(&session, "app:v1", PullOptions::default()).await.unwrap();
        assert!(pulled.iter().eq(layers.blobs().iter()));
        // One for each chunk or range in flight, and not for each request. A tunnel takes longer to open, so that there are some for
        // which nobody waits any more.
        let most = if tunnels == Tunnels::Given { 3 * 8 } else { 8 + 2 };
        assert!((1..=most).contains(&streams(&scene)), "{tunnels:?}: {}", streams(&scene));
        let seen = scene.api_server.seen();
        assert!(!seen.iter().any(|seen| seen.path.contains("/reposure/")), "it went through the proxy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_may_come_in_the_smallest_pieces() {
    for tunnels in [Tunnels::Given, Tunnels::Unknown] {
        let largest_message = Some(1);
        let scene = Scene::with(Behaviour { tunnels, largest_message, ..Behaviour::default() }).await;
        let layers = RandomImage::new(34, 1, 10_000).unwrap();
        let artifact = scene.open(scene.write_oci_archive(&layers)).await;
        push_over(scene.session_by_port_forward(Right::Push).await.unwrap(), &artifact).await;
        scene.assert_holds(&layers, "app", "v1");
    }
}

/// A session begins with a stream for TLS, and goes on with one without. A refusal costs one request, and who does not know tunnels
/// takes the other protocol at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_tunnels_is_remembered() {
    for (tunnels, requests) in [(Tunnels::Given, 2), (Tunnels::Unknown, 2), (Tunnels::Refused, 3)] {
        let scene = scene_with(tunnels).await;
        scene.session_by_port_forward(Right::Push).await.unwrap();
        assert_eq!(streams(&scene), requests, "{tunnels:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_break_are_opened_again() {
    let failures = [How::CutWithin(2000), How::CutBefore, How::CutAfter, How::Status(503)];
    for tunnels in TUNNELS {
        for (seed, how) in failures.into_iter().enumerate() {
            let scene = scene_with(tunnels).await;
            let layers = RandomImage::new(40 + seed as u64, 2, 6 << 20).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&layers)).await;
            let session = scene.session_by_port_forward(Right::Push).await.unwrap();
            scene.api_server.fail(Failure { path: PATH.into(), after: 0, times: 2, how });
            push_over(session.clone(), &artifact).await;
            scene.assert_holds(&layers, "app", "v1");
            assert_eq!(scene.api_server.heal(), 0, "nothing broke");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_goes_on_where_its_stream_broke() {
    for tunnels in TUNNELS {
        let scene = scene_with(tunnels).await;
        let layers = RandomImage::new(33, 2, 6 << 20).unwrap();
        scene.push_image(&layers).await;
        let session = scene.session_by_port_forward(Right::Pull).await.unwrap();
        let how = How::CutWithin(500_000);
        scene.api_server.fail(Failure { path: PATH.into(), after: 0, times: 1, how });
        let pulled = pull::pull_into_file_over(&session, "app:v1", PullOptions::default()).await.unwrap();
        assert!(pulled.iter().eq(layers.blobs().iter()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_the_upgrade_is_the_api_servers() {
    for tunnels in TUNNELS {
        let scene = scene_with(tunnels).await;
        scene.fail(PATH, How::Status(403));
        let error = scene.session_by_port_forward(Right::Pull).await.unwrap_err();
        let SessionError::ApiServer { status, message, .. } = &error else { panic!("{error:?}") };
        assert_eq!((status.as_u16(), message.as_str()), (403, "no endpoints available"));
        assert!(!error.is_transient());
    }
}

/// The API server upgrades before anyone has reached the pod.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_not_reached_is_no_success() {
    for tunnels in [Tunnels::Given, Tunnels::Unknown] {
        let scene = scene_with(tunnels).await;
        scene.fail(PATH, How::CutAfter);
        let error = scene.session_by_port_forward(Right::Pull).await.unwrap_err();
        assert!(error.is_transient() && error.hop() == "surrogate", "{error:?}");
        let causes = std::iter::successors(error.source(), |error| (*error).source());
        let text: Vec<String> = causes.map(ToString::to_string).collect();
        assert!(text.join(": ").contains("no network namespace"), "{tunnels:?}: {text:?}");
    }
}
