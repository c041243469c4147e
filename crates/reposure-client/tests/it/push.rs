//! Pushes that go well.

use std::{
    fs::{self, File},
    future::ready,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{FutureExt as _, future::BoxFuture};
use http::Method;
use reposure_client::{
    progress::{Event, Progress},
    push::{PushError, PushOptions, push},
};
use reposure_oci::{
    Artifact, Blob, Descriptor, Digest, Image, Layer, LayerCache, MediaType, MemoryBlob, RawManifest, Spool,
    archive, image::SourceError,
};
use reposure_parcel::{upload::How as Came, wire::Right};
use reposure_testing::{
    RandomImage,
    api_server::{Behaviour, Failure, How},
};

use crate::support::{Scene, image};

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
    let expected = [token, "GET /reposure/v1/hello", "POST /reposure/v1/exists", "PUT /v2/app/manifests/v1"];
    let seen: Vec<&str> = seen.iter().map(|seen| seen.trim_end_matches('?')).collect();
    assert_eq!(seen, expected);
}

/// What is there is asked for once, along with the hello.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_asks_ahead() {
    let scene = Scene::new().await;
    let image = RandomImage::new(2, 25, 1 << 10).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    for run in 0..2 {
        scene.api_server.forget();
        scene.push_ahead(&artifact, "app:v1", false).await.unwrap();
        let seen = scene.api_server.seen();
        let count = |path: &str| seen.iter().filter(|seen| seen.path.starts_with(path)).count();
        assert_eq!(count("/reposure/v1/hello"), 1);
        assert_eq!(count("/reposure/v1/exists"), 1, "in run {run}");
        assert_eq!(count("/reposure/v1/blobs/"), if run == 0 { 26 } else { 0 });
    }
    scene.assert_holds(&image, "app", "v1");
}

/// Over a long way it opens the uploads of its large blobs before it knows that they are missing, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_a_long_way_opens_uploads_ahead() {
    let scene = Scene::new().await;
    let image = RandomImage::new(4, 3, 5 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    for (is_far, opened) in [(true, 3), (true, 3), (false, 0)] {
        scene.api_server.forget();
        scene.push_ahead(&artifact, "app:v1", is_far).await.unwrap();
        let seen = scene.api_server.seen();
        let count = |method: &Method, end: &str| {
            seen.iter().filter(|seen| seen.method == *method && seen.path.ends_with(end)).count()
        };
        assert_eq!(count(&Method::POST, "/reposure/v1/uploads"), opened);
        assert_eq!(count(&Method::POST, "/reposure/v1/exists"), 1);
    }
    scene.assert_holds(&image, "app", "v1");
    assert_eq!(scene.registry.open_uploads(), 0);
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
    assert_eq!(Digest::sha256_of(&manifest), digest);
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let config = Digest::sha256_of(image.config()).to_string();
    assert_eq!(manifest["config"]["digest"], config);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
}

/// Opens a source anew, with the cache that is in the scene's folder.
async fn open_again(scene: &Scene, path: &Path) -> Artifact {
    let spool = Spool::new(scene.folder.path(), 1 << 30);
    let mut options = archive::Options::new(spool);
    options.cache = Some(LayerCache::new(scene.path("cache")));
    archive::open(path, options).await.unwrap().select(None).unwrap().artifact.clone()
}

/// Tells how many blobs were sent since the requests were last forgotten.
fn sent(scene: &Scene) -> usize {
    let is_blob = |path: &str| path == "/reposure/v1/uploads" || path.starts_with("/reposure/v1/blobs/");
    let count = scene.api_server.seen().iter().filter(|seen| is_blob(&seen.path)).count();
    scene.api_server.forget();
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_that_the_registry_has_are_not_compressed_again() {
    let scene = Scene::new().await;
    let docker = scene.path("docker.tar");
    let image = RandomImage::new(3, 3, 500_000).unwrap();
    image.write_docker_archive("app:v1", File::create(&docker).unwrap()).unwrap();
    let file = scene.path("file");
    fs::write(&file, vec![b'x'; 500_000]).unwrap();
    for (source, layers) in [(docker, 3), (file, 1)] {
        let digest = scene.push(&open_again(&scene, &source).await, "app:v1").await.unwrap();
        assert_eq!(sent(&scene), layers + 1);

        let artifact = open_again(&scene, &source).await;
        assert_eq!(scene.push(&artifact, "app:v2").await.unwrap(), digest);
        assert_eq!(sent(&scene), 0);
        let Artifact::Image(image) = &artifact else { panic!("an index") };
        let prepared = image.parts().iter().filter(|part| part.ready().is_some()).count();
        assert_eq!(prepared, 1, "only the configuration was");

        // Another repository lacks the blobs, so that they are compressed and sent, or mounted.
        assert_eq!(scene.push(&artifact, "other:v1").await.unwrap(), digest);
        assert_eq!(sent(&scene), layers + 1);
        assert!(image.parts().iter().all(|part| part.ready().is_some()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_wrong_costs_time_alone() {
    let scene = Scene::new().await;
    let path = scene.path("docker.tar");
    let image = RandomImage::new(3, 2, 100_000).unwrap();
    image.write_docker_archive("app:v1", File::create(&path).unwrap()).unwrap();
    let digest = scene.push(&open_again(&scene, &path).await, "app:v1").await.unwrap();
    let cache = scene.path("cache/layers");
    let good = fs::read_to_string(&cache).unwrap();
    // Sizes that the registry does not confirm, under a sum that is right.
    let (head, _) = good.rsplit_once("end ").unwrap();
    let lines: Vec<_> =
        head.lines().map(|line| line.rsplit_once(' ').map_or(line, |(rest, _)| rest)).collect();
    let wrong = format!("reposure layers 1\n{} 7\n", lines[1..].join(" 7\n"));
    let wrong = format!("{wrong}end {}\n", Digest::sha256_of(&wrong));
    for (number, text) in [wrong, good[..good.len() / 2].into(), "noise".into()].iter().enumerate() {
        fs::write(&cache, text).unwrap();
        let artifact = open_again(&scene, &path).await;
        let name = format!("app:again{number}");
        assert_eq!(scene.push(&artifact, &name).await.unwrap(), digest);
        let Artifact::Image(image) = &artifact else { panic!("an index") };
        assert!(
            image.parts().iter().all(|part| part.ready().is_some()),
            "something was taken from the cache"
        );
    }
    let again = fs::read_to_string(&cache).unwrap();
    assert_eq!(again.matches("reposure-gzip/1").count(), 2, "the cache is not whole again");
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

/// A layer that is ready from the second question on, as one of a file is when another task has compressed it.
#[derive(Debug)]
struct LateLayer {
    blob: Arc<dyn Blob>,
    asked: AtomicBool,
}

impl Layer for LateLayer {
    fn diff_id(&self) -> Option<&Digest> {
        None
    }

    fn label(&self) -> String {
        "late".into()
    }

    fn ready(&self) -> Option<Arc<dyn Blob>> {
        self.asked.swap(true, Ordering::Relaxed).then(|| self.blob.clone())
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Arc<dyn Blob>, SourceError>> {
        ready(Ok(self.blob.clone())).boxed()
    }
}

#[derive(Debug)]
struct LateImage(Vec<Arc<dyn Layer>>, RawManifest);

impl Image for LateImage {
    fn parts(&self) -> &[Arc<dyn Layer>] {
        &self.0
    }

    fn manifest(&self) -> BoxFuture<'_, Result<RawManifest, SourceError>> {
        ready(Ok(self.1.clone())).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_becomes_ready_late_is_sent_all_the_same() {
    let scene = Scene::new().await;
    let image = RandomImage::new(9, 1, 1000).unwrap();
    let late = |bytes: bytes::Bytes| {
        let descriptor =
            Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(&bytes), bytes.len() as u64);
        // The walk of the image asks once.
        let asked = AtomicBool::new(false);
        Arc::new(LateLayer { blob: Arc::new(MemoryBlob::new(descriptor, bytes)), asked }) as Arc<dyn Layer>
    };
    for questions in 0..4 {
        let parts: Vec<_> = image.blobs().into_iter().map(late).collect();
        for part in &parts {
            (0..questions).for_each(|_| drop(part.ready()));
        }
        let manifest = RawManifest::new(MediaType::OCI_MANIFEST, image.manifest().clone()).unwrap();
        let repository = format!("late{questions}");
        let artifact = Artifact::Image(Arc::new(LateImage(parts, manifest)));
        scene.push(&artifact, &format!("{repository}:v1")).await.unwrap();
        scene.assert_holds(&image, &repository, "v1");
    }
}

/// A layer that is only known once it is prepared, as one of a docker-archive.
#[derive(Debug)]
struct UnreadyLayer(Arc<dyn Blob>);

impl Layer for UnreadyLayer {
    fn diff_id(&self) -> Option<&Digest> {
        None
    }

    fn label(&self) -> String {
        "unready".into()
    }

    fn ready(&self) -> Option<Arc<dyn Blob>> {
        None
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Arc<dyn Blob>, SourceError>> {
        ready(Ok(self.0.clone())).boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_is_there_twice_is_sent_once() {
    let scene = Scene::new().await;
    let image = RandomImage::new(10, 1, 1000).unwrap();
    let unready = |bytes: bytes::Bytes| {
        let descriptor =
            Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(&bytes), bytes.len() as u64);
        Arc::new(UnreadyLayer(Arc::new(MemoryBlob::new(descriptor, bytes)))) as Arc<dyn Layer>
    };
    let mut parts: Vec<_> = image.blobs().into_iter().map(unready).collect();
    parts.extend(parts.clone());
    let manifest = RawManifest::new(MediaType::OCI_MANIFEST, image.manifest().clone()).unwrap();
    let artifact = Artifact::Image(Arc::new(LateImage(parts, manifest)));
    scene.push(&artifact, "twice:v1").await.unwrap();
    scene.assert_holds(&image, "twice", "v1");
    assert_eq!(sent(&scene), image.blobs().len());
}

/// Pushes, and returns how each of the blobs came into the registry.
async fn pushed_how(scene: &Scene, artifact: &Artifact, name: &str) -> Vec<Came> {
    let (progress, mut events) = Progress::channel();
    let session = scene.session(Right::Push).await.unwrap();
    push(session, artifact, &image(name), PushOptions::default(), progress).await.unwrap();
    let events = std::iter::from_fn(|| events.try_recv().ok());
    events
        .filter_map(|event| if let Event::Finished { how, .. } = event { Some(how) } else { None })
        .collect()
}

/// A surrogate remembers what it has seen, so that a client need not know where else in a registry a blob is.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_another_repository_got_is_mounted_and_not_sent() {
    let scene = Scene::new().await;
    let layers = RandomImage::of_sizes(94, &[9 << 20, 5 << 20, 1000]).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    assert_eq!(pushed_how(&scene, &artifact, "one:v1").await, [Came::Uploaded; 4]);
    scene.registry.clear_requests();
    scene.api_server.forget();
    assert_eq!(pushed_how(&scene, &artifact, "two:v1").await, [Came::Mounted; 4]);
    scene.assert_holds(&layers, "two", "v1");
    assert_eq!(scene.registry.received(), layers.manifest().len() as u64, "the manifest alone was sent");
    let seen = scene.api_server.seen();
    let is_chunk = |path: &str| path.starts_with("/reposure/v1/uploads/");
    assert!(!seen.iter().any(|seen| is_chunk(&seen.path)), "{seen:?}");
    assert_eq!(pushed_how(&scene, &artifact, "two:v2").await, [Came::Existed; 4]);
}

/// On a long way each round trip counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_blob_takes_one_request() {
    let scene = Scene::new().await;
    let image = RandomImage::of_sizes(91, &[3 << 20, 1000, 1, (4 << 20) + 1]).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.push(&artifact, "deep/app:v1").await.unwrap();
    scene.assert_holds(&image, "deep/app", "v1");
    let seen = scene.api_server.seen();
    let count = |part: &str| seen.iter().filter(|seen| seen.path.contains(part)).count();
    // Three layers and the configuration; and one that is opened, sent in two chunks, and committed.
    assert_eq!((count("/v1/blobs/deep/app/sha256:"), count("/v1/uploads")), (4, 4), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_in_one_request_goes_as_an_upload() {
    for how in [How::CutBefore, How::CutAfter, How::Status(404), How::Status(413)] {
        let scene = Scene::new().await;
        let image = RandomImage::new(92, 1, 100_000).unwrap();
        let artifact = scene.open(scene.write_oci_archive(&image)).await;
        scene.api_server.fail(Failure { path: "/v1/blobs/".into(), after: 0, times: usize::MAX, how });
        scene.push(&artifact, "app:v1").await.unwrap();
        scene.assert_holds(&image, "app", "v1");
    }
}
