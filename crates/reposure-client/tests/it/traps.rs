//! What the API server's pod proxy does to requests and answers.

use http::{Method, Request, StatusCode};
use reposure_client::{pull::PullOptions, push::PushError};
use reposure_oci::{Digest, Reference, registry};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    api_server::{Behaviour, How},
    registry::TagDelete,
};

use crate::support::Scene;

const TOO_LARGE: StatusCode = StatusCode::PAYLOAD_TOO_LARGE;

/// The API server puts its own path before one in `Location`; a registry client that follows it must not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_location_is_the_registrys_own() {
    let base_path = "/k8s/clusters/c-1".to_owned();
    let scene = Scene::with(Behaviour { base_path, ..Behaviour::default() }).await;
    let client = registry::Client::new(scene.session(Right::Push).await.unwrap());
    let (bytes, repository) = (&b"some bytes"[..], "app".parse().unwrap());
    let digest = Digest::sha256_of(bytes);
    let body = reposure_oci::transport::full(bytes);
    let stored = client.upload_monolithic(&repository, &digest, bytes.len() as u64, body).await.unwrap();
    assert_eq!(stored, digest);
    assert_eq!(scene.registry.blob("app", &digest.to_string()).unwrap(), bytes);
}

/// A registry that deletes no tags makes the client upload a dummy, through the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_a_registry_without_tag_deletion_goes_alone() {
    let scene = Scene::new().await;
    scene.registry.change_quirks(|quirks| quirks.tag_delete = TagDelete::DigestInvalid);
    let image = RandomImage::new(20, 1, 1000).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    for name in ["app:v1", "app:v2"] {
        scene.push(&artifact, name).await.unwrap();
    }
    let client = registry::Client::new(scene.session(Right::Admin).await.unwrap());
    client.delete_tag_safely(&"app".parse().unwrap(), &"v1".parse().unwrap()).await.unwrap();
    assert_eq!(scene.registry.tags("app"), ["v2"]);
    scene.assert_holds(&image, "app", "v2");
}

/// A path that the API server would clean never reaches the registry as another one.
#[tokio::test(flavor = "multi_thread")]
async fn odd_paths_are_refused() {
    let scene = Scene::new().await;
    let session = scene.session(Right::Pull).await.unwrap();
    for path in
        ["/v2/a/../_catalog", "/v2//_catalog", "/v2/%2e%2e/x", "/v2/a%2Fb/tags/list", "/metrics", "/v1/x"]
    {
        scene.registry.clear_requests();
        let request = Request::builder().method(Method::GET).uri(path).body(bytes::Bytes::new()).unwrap();
        let answer = session.send(request).await;
        assert!(answer.is_err(), "{path}");
        assert!(
            scene.registry.requests().iter().all(|entry| entry.path == "/v2/"),
            "{path} reached the registry"
        );
    }
}

/// The API server's own 404 and the registry's are told apart by a header.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_servers_answers_are_not_the_registrys() {
    let scene = Scene::new().await;
    let session = scene.session(Right::Pull).await.unwrap();
    let get = || {
        let path = "/v2/app/manifests/v1";
        Request::builder().method(Method::GET).uri(path).body(bytes::Bytes::new()).unwrap()
    };
    assert_eq!(session.send(get()).await.unwrap().status(), StatusCode::NOT_FOUND);
    scene.fail("/manifests/", How::Status(404));
    let error = session.send(get()).await.unwrap_err();
    assert!(error.is_transient() && error.hop() == "API server", "{error}");
}

/// Bytes come as the registry has them, although Go's client would ask for gzip where we ask for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn no_encoding_is_asked_for() {
    let scene = Scene::new().await;
    let client = registry::Client::new(scene.session(Right::Pull).await.unwrap());
    let missing = Reference::Tag("v1".parse().unwrap());
    assert!(client.get_manifest(&"app".parse().unwrap(), &missing).await.unwrap_err().is_not_found());
    let requests = scene.registry.requests();
    let entry = requests.iter().find(|entry| entry.path.contains("/manifests/")).unwrap();
    assert!(entry.headers.contains(&("accept-encoding".into(), "identity".into())), "{entry:?}");
}

/// The API server rewrites what calls itself HTML.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_calls_itself_html_stays_what_it_is() {
    let scene = Scene::new().await;
    let image = RandomImage::new(23, 1, 1000).unwrap();
    scene.push_image(&image).await;
    scene.registry.change_quirks(|quirks| quirks.html_blobs = true);
    let pulled = crate::pull::pull_into_file(&scene, "app:v1", PullOptions::default()).await.unwrap();
    assert!(pulled.iter().eq(image.blobs().iter()));
}

/// A middle box that takes no body of a chunk's size gets smaller ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_too_large_on_the_way_is_halved() {
    let largest_body = Some(1 << 20);
    let scene = Scene::with(Behaviour { largest_body, ..Behaviour::default() }).await;
    let image = RandomImage::new(21, 3, 9 << 20).unwrap();
    scene.push_image(&image).await;
    scene.assert_holds(&image, "app", "v1");
}

/// A middle box before the registry that takes no blob in one request gets pieces of it, in the push that finds it out.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_too_large_for_the_registry_arrives_in_pieces() {
    let scene = Scene::new().await;
    // Half of it is the shortest that is tried, so every blob is lost as often as one can be.
    scene.registry.change_quirks(|quirks| quirks.body_limit = Some(500_000));
    for (seed, layers) in [(24, 3), (25, 1)] {
        let image = RandomImage::new(seed, layers, 9 << 20).unwrap();
        let artifact = scene.open(scene.write_oci_archive(&image)).await;
        scene.registry.clear_requests();
        scene.push(&artifact, "app:v1").await.unwrap();
        scene.assert_holds(&image, "app", "v1");
    }
    let refused = scene.registry.requests().into_iter().filter(|entry| entry.status == Some(TOO_LARGE));
    assert_eq!(refused.count(), 0, "the second push knows what the first one found out");
}

/// One that takes next to nothing before the registry is named, and not tried for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_takes_nothing_is_named() {
    let scene = Scene::new().await;
    scene.registry.change_quirks(|quirks| quirks.body_limit = Some(8 << 10));
    let image = RandomImage::new(26, 2, 5 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    let Err(PushError::Upload { source, .. }) = scene.push(&artifact, "app:v1").await else {
        panic!("pushed")
    };
    assert!(source.hop() == "registry" && source.to_string().contains("413"), "{source:?}");
    assert!(scene.registry.tags("app").is_empty());
}

/// One that takes next to nothing is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_middle_box_that_takes_nothing_is_named() {
    let largest_body = Some(8 << 10);
    let scene = Scene::with(Behaviour { largest_body, ..Behaviour::default() }).await;
    let image = RandomImage::new(22, 1, 1 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    let Err(PushError::Upload { source, .. }) = scene.push(&artifact, "app:v1").await else {
        panic!("pushed")
    };
    assert!(source.is_too_large() && source.hop() == "API server", "{source:?}");
    assert!(scene.registry.tags("app").is_empty());
}
