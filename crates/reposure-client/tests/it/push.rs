//! Pushes that go well.

use std::fs::{self, File};

use reposure_client::push::PushError;
use reposure_testing::{RandomImage, api_server::Behaviour};

use crate::support::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn an_oci_archive_arrives_byte_for_byte() {
    let scene = Scene::new().await;
    let image = RandomImage::of_sizes(1, &[9 << 20, 1 << 20, 5 << 20, 0]).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    let digest = scene.push(&artifact, "team/app:v1").await.unwrap();
    assert_eq!(digest.to_string(), image.digest());
    scene.assert_holds(&image, "team/app", "v1");
    assert_eq!(scene.registry.open_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_asks_once_and_puts_the_manifest() {
    let scene = Scene::new().await;
    let image = RandomImage::new(2, 5, 1 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.push(&artifact, "app:v1").await.unwrap();
    scene.api_server.forget();
    scene.push(&artifact, "app:v1").await.unwrap();
    let seen: Vec<String> =
        scene.api_server.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    let token = "POST /api/v1/namespaces/ns/serviceaccounts/access-push/token";
    let expected = [
        token,
        "GET /reposure/v1/hello",
        "POST /reposure/v1/exists",
        "PUT /v2/app/manifests/v1",
    ];
    let seen: Vec<&str> = seen.iter().map(|seen| seen.trim_end_matches('?')).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_archive_arrives_compressed_under_a_manifest_of_ours() {
    let scene = Scene::new().await;
    let image = RandomImage::new(3, 3, 2 << 20).unwrap();
    let path = scene.path("docker.tar");
    image.write_docker_archive("app:v1", File::create(&path).unwrap()).unwrap();
    let artifact = scene.open(path).await;
    let digest = scene.push(&artifact, "app:v1").await.unwrap();
    let manifest = scene.registry.manifest("app", "v1").unwrap();
    assert_eq!(reposure_oci::Digest::sha256_of(&manifest), digest);
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let config = reposure_oci::Digest::sha256_of(image.config()).to_string();
    assert_eq!(manifest["config"]["digest"], config);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_path_of_the_kubeconfig_is_joined() {
    let base_path = "/k8s/clusters/c-1".to_owned();
    let scene = Scene::with(Behaviour { base_path, ..Behaviour::default() }).await;
    let path = scene.path("hello.txt");
    fs::write(&path, "hello").unwrap();
    let artifact = scene.open(path).await;
    scene.push(&artifact, "hello").await.unwrap();
    assert_eq!(scene.registry.tags("hello"), ["latest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_another_digest_is_refused() {
    let scene = Scene::new().await;
    let image = RandomImage::new(4, 1, 1000).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    let other = format!("app@sha256:{}", "0".repeat(64));
    assert!(matches!(scene.push(&artifact, &other).await, Err(PushError::OtherDigest { .. })));
    let right = format!("app@{}", image.digest());
    assert_eq!(scene.push(&artifact, &right).await.unwrap().to_string(), image.digest());
}
