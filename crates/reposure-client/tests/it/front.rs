//! What stands before an API server: those who say when to come back, and those who speak HTTP/2 alone.

use reposure_client::{pull::PullOptions, session::SessionError};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    api_server::{Behaviour, Failure, How},
};

use crate::support::Scene;

/// Nobody else tries a request for a token or the hello once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_came_too_soon_comes_back_when_it_is_told_to() {
    let scene = Scene::new().await;
    for (path, status) in [("/token", 429), ("/hello", 429), ("/hello", 503)] {
        scene.fail(path, How::RetryAfter(status, 1));
        scene.session(Right::Pull).await.unwrap_or_else(|error| panic!("{path} {status}: {error:?}"));
    }
    let image = RandomImage::new(120, 2, 5 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    for path in ["/exists", "/uploads", "/0", "/commit", "/manifests/"] {
        scene.fail(path, How::RetryAfter(429, 0));
    }
    scene.push(&artifact, "app:v1").await.unwrap();
    scene.assert_holds(&image, "app", "v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_wait_for_long_is_told_why() {
    let scene = Scene::new().await;
    scene.fail("/hello", How::RetryAfter(503, 60));
    let Err(SessionError::ApiServer { status, retry_after, .. }) = scene.session(Right::Pull).await else {
        panic!("no refusal")
    };
    assert_eq!((status.as_u16(), retry_after), (503, Some(60)));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_where_nothing_else_is() {
    let scene = Scene::with(Behaviour { http2_only: true, ..Behaviour::default() }).await;
    let image = RandomImage::new(121, 3, 12 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.api_server.fail(Failure { path: "/4194304".into(), after: 0, times: 2, how: How::CutAfter });
    scene.push(&artifact, "app:v1").await.unwrap();
    scene.assert_holds(&image, "app", "v1");
    let pulled = crate::pull::pull_into_file(&scene, "app:v1", PullOptions::default()).await.unwrap();
    assert!(pulled == image.blobs());
}
