//! A hop that changes bytes: TLS keeps most from it, and digests the rest.

use http::StatusCode;
use reposure_client::{
    pull::{PullError, PullOptions},
    push::PushError,
};
use reposure_oci::{BlobError, Digest};
use reposure_parcel::problem::Code;
use reposure_testing::{RandomImage, api_server::How};

use crate::{pull::pull_into_file, support::Scene};

/// The client knows what it has sent, but only the registry what has come.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_on_the_way_up_is_refused_by_the_registry() {
    let scene = Scene::new().await;
    let image = RandomImage::new(32, 1, 9 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.fail("/4194304", How::Flip(10));
    let Err(PushError::Upload { source, .. }) = scene.push(&artifact, "app:v1").await else {
        panic!("pushed")
    };
    assert_eq!(source.code(), Some(Code::DigestMismatch), "{source:?}");
    assert!(scene.registry.tags("app").is_empty());
    scene.push(&artifact, "app:v1").await.unwrap();
    scene.assert_holds(&image, "app", "v1");
}

/// A small one is sent once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_blob_that_was_changed_on_the_way_up_comes_again() {
    let scene = Scene::new().await;
    let image = RandomImage::new(31, 1, 1000).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.fail("/v1/blobs/", How::Flip(10));
    scene.push(&artifact, "app:v1").await.unwrap();
    scene.assert_holds(&image, "app", "v1");
    let seen = scene.registry.requests();
    assert_eq!(seen.iter().filter(|entry| entry.status == Some(StatusCode::BAD_REQUEST)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_on_the_way_down_is_refused_by_the_client() {
    let scene = Scene::new().await;
    let image = RandomImage::new(33, 1, 3 << 20).unwrap();
    scene.push_image(&image).await;
    let layer = Digest::sha256_of(image.blobs().last().unwrap());
    scene.fail(&format!("/blobs/{layer}"), How::Flip(1 << 20));
    let pulled = pull_into_file(&scene, "app:v1", PullOptions::default()).await;
    assert!(matches!(pulled, Err(PullError::Blob { source: BlobError::Digest { .. }, .. })), "{pulled:?}");
    scene.fail("/manifests/", How::Flip(10));
    let pulled = pull_into_file(&scene, "app:v1", PullOptions::default()).await;
    assert!(matches!(pulled, Err(PullError::Image(_))), "{pulled:?}");
    let pulled = pull_into_file(&scene, "app:v1", PullOptions::default()).await.unwrap();
    assert!(pulled.iter().eq(image.blobs().iter()));
}
