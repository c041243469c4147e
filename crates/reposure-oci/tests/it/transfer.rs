//! Images between archives and registries, and between registries.

use std::path::Path;

use http::Method;
use reposure_oci::{
    Artifact, BlobError, Digest, ImageName, MediaType, Spool, archive,
    remote::{RemoteError, fetch},
    sink::write_artifact,
    transfer::{Event, How, Progress, PushError, PushOptions, copy, push},
};
use reposure_testing::{Fault, Injection, RandomImage};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::fixture::{Fixture, name};

const LAYERS: usize = 3;

fn image_name(text: &str) -> ImageName {
    text.parse().unwrap()
}

fn sample(seed: u64) -> RandomImage {
    RandomImage::new(seed, LAYERS, 100_000).unwrap()
}

async fn open(bytes: &[u8], folder: &Path) -> Artifact {
    let path = folder.join("images.tar");
    std::fs::write(&path, bytes).unwrap();
    let options = archive::Options::new(Spool::new(folder, 64 << 20));
    archive::open(path, options).await.unwrap().entries.remove(0).artifact
}

fn oci_archive(image: &RandomImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_oci_archive("v1", &mut bytes).unwrap();
    bytes
}

async fn push_to(fixture: &Fixture, artifact: &Artifact, name: &str) -> Result<Digest, PushError> {
    push(&fixture.client, artifact, &image_name(name), &PushOptions::default(), Progress::none()).await
}

fn hows(mut events: UnboundedReceiver<Event>) -> Vec<How> {
    let finished = std::iter::from_fn(|| events.try_recv().ok()).filter_map(|event| match event {
        Event::Finished { how, .. } => Some(how),
        _ => None,
    });
    finished.collect()
}

/// Nothing that has a name changed.
fn assert_unchanged(fixture: &Fixture, repository: &str) {
    assert!(fixture.registry.tags(repository).is_empty());
    assert_eq!(fixture.registry.count(&Method::PUT, "/manifests/"), 0);
}

#[tokio::test]
async fn an_archive_is_pushed_once() {
    let (fixture, folder) = (Fixture::new().await, tempfile::tempdir().unwrap());
    let image = sample(1);
    let artifact = open(&oci_archive(&image), folder.path()).await;
    for expected in [How::Uploaded, How::Existed] {
        let (progress, events) = Progress::channel();
        let options = PushOptions::default();
        let digest = push(&fixture.client, &artifact, &image_name("a:v1"), &options, progress).await.unwrap();
        assert_eq!(digest.to_string(), image.digest());
        assert_eq!(hows(events), [expected; LAYERS + 1]);
    }
    assert_eq!(fixture.registry.manifest("a", "v1").unwrap(), image.manifest());
    assert_eq!(fixture.registry.count(&Method::PUT, "/blobs/uploads/"), LAYERS + 1);
    assert_eq!(fixture.registry.open_uploads(), 0);
}

#[tokio::test]
async fn layers_are_compressed_on_the_way() {
    let (fixture, folder) = (Fixture::new().await, tempfile::tempdir().unwrap());
    let mut bytes = Vec::new();
    sample(1).write_docker_archive("app:v1", &mut bytes).unwrap();
    let artifact = open(&bytes, folder.path()).await;
    let digest = push_to(&fixture, &artifact, "a:v1").await.unwrap();
    assert_eq!(Digest::sha256_of(fixture.registry.manifest("a", "v1").unwrap()), digest);
}

#[tokio::test]
async fn an_image_of_a_registry_is_saved_and_copied() {
    let (source, target) = (Fixture::new().await, Fixture::new().await);
    let digest = source.put_image("a", "v1", 1);
    let from = image_name("a:v1");
    let artifact = fetch(&source.client, &from, None).await.unwrap();
    let saved = write_artifact(&artifact, Vec::new(), Vec::new()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let again = open(&saved, folder.path()).await;
    assert_eq!(push_to(&target, &again, "saved:v1").await.unwrap(), digest);

    let (to, options) = (image_name("copied:v2"), PushOptions::default());
    let copied = copy(&source.client, &from, &target.client, &to, &options, Progress::none()).await.unwrap();
    assert_eq!(copied, digest);
    assert_eq!(target.registry.manifest("copied", "v2"), source.registry.manifest("a", "v1"));
}

fn index_of(fixture: &Fixture, seeds: &[u64], size_off_by: u64) -> String {
    let children: Vec<_> = seeds
        .iter()
        .map(|seed| {
            let digest = fixture.put_image("a", &format!("v{seed}"), *seed);
            let size = fixture.registry.manifest("a", &digest.to_string()).unwrap().len() as u64;
            json!({"mediaType": MediaType::OCI_MANIFEST, "digest": digest, "size": size + size_off_by})
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children});
    fixture.registry.put_manifest("a", Some("all"), MediaType::OCI_INDEX.as_str(), index.to_string())
}

#[tokio::test]
async fn an_index_goes_after_its_children() {
    let (source, target) = (Fixture::new().await, Fixture::new().await);
    let digest = index_of(&source, &[1, 2], 0);
    let (from, to, options) = (image_name("a:all"), image_name("b:all"), PushOptions::default());
    let copied = copy(&source.client, &from, &target.client, &to, &options, Progress::none()).await.unwrap();
    assert_eq!(copied.to_string(), digest);
    // The registry takes no index whose children it does not have.
    assert_eq!(target.registry.tags("b"), ["all"]);

    index_of(&source, &[1], 1);
    let error = fetch(&source.client, &from, None).await.unwrap_err();
    assert!(matches!(error, RemoteError::Size { .. }), "{error:?}");
}

#[tokio::test]
async fn blobs_of_the_same_registry_are_mounted() {
    let fixture = Fixture::new().await;
    fixture.put_image("a", "v1", 1);
    let options = PushOptions { mount_from: Some(name("a")), ..PushOptions::default() };
    for mount in [true, false] {
        fixture.registry.change_quirks(|quirks| quirks.mount = mount);
        fixture.registry.clear_requests();
        let (progress, events) = Progress::channel();
        let to = image_name(if mount { "mounted:v1" } else { "sent:v1" });
        copy(&fixture.client, &image_name("a:v1"), &fixture.client, &to, &options, progress).await.unwrap();
        let how = if mount { How::Mounted } else { How::Uploaded };
        assert_eq!(hows(events), [how; 2]);
        assert_eq!(fixture.registry.count(&Method::POST, "/blobs/uploads/"), 2, "one session each");
    }
}

#[tokio::test]
async fn what_breaks_off_is_sent_and_read_again() {
    let (source, target) = (Fixture::new().await, Fixture::new().await);
    source.put_image("a", "v1", 1);
    source.registry.inject(Injection::next(Method::GET, "/blobs/", Fault::Truncate(100)));
    target.registry.inject(Injection::next(Method::PUT, "/blobs/uploads/", Fault::DropAfter(10)));
    let (progress, mut events) = Progress::channel();
    let (to, options) = (image_name("b:v1"), PushOptions { blobs: 1, ..PushOptions::default() });
    copy(&source.client, &image_name("a:v1"), &target.client, &to, &options, progress).await.unwrap();
    let events: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Retrying { .. })).count(), 1);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Restarted { .. })).count(), 1);
}

#[tokio::test]
async fn what_is_too_large_for_one_request_goes_in_chunks() {
    let (source, target) = (Fixture::new().await, Fixture::new().await);
    let image = sample(1);
    source.put("a", "v1", &image);
    target.registry.change_quirks(|quirks| quirks.body_limit = Some(50_000));
    let (to, options) = (image_name("b:v1"), PushOptions::default());
    let copied =
        copy(&source.client, &image_name("a:v1"), &target.client, &to, &options, Progress::none()).await;
    assert!(copied.is_err(), "the smallest chunks are too large, too");
    target.registry.change_quirks(|quirks| quirks.body_limit = Some(2 << 20));
    let large = RandomImage::new(2, 1, 3 << 20).unwrap();
    source.put("a", "v2", &large);
    let (progress, events) = Progress::channel();
    let copied = copy(&source.client, &image_name("a:v2"), &target.client, &to, &options, progress).await;
    assert_eq!(copied.unwrap().to_string(), large.digest());
    assert_eq!(hows(events), [How::Uploaded; 2]);
    assert!(target.registry.count(&Method::PATCH, "/blobs/uploads/") > 1);
}

#[tokio::test]
async fn a_blob_of_two_sizes_is_refused() {
    let (source, target) = (Fixture::new().await, Fixture::new().await);
    let image = sample(1);
    source.put("a", "v1", &image);
    let mut manifest: Value = serde_json::from_slice(image.manifest()).unwrap();
    manifest["layers"][1] = manifest["layers"][0].clone();
    manifest["layers"][1]["size"] = json!(1);
    let (kind, manifest) = (image.media_type(), manifest.to_string());
    source.registry.put_manifest("a", Some("v1"), kind, manifest);
    let (from, to, options) = (image_name("a:v1"), image_name("b:v1"), PushOptions::default());
    let copied = copy(&source.client, &from, &target.client, &to, &options, Progress::none()).await;
    assert!(matches!(copied, Err(PushError::TwoSizes(_))), "{copied:?}");
    assert_unchanged(&target, "b");
}

#[tokio::test]
async fn a_registry_without_ranges_is_a_source_too() {
    let (source, target) = (Fixture::new().await, Fixture::new().await);
    source.registry.change_quirks(|quirks| quirks.ignore_range = true);
    // More than one piece.
    let image = RandomImage::new(1, 1, 9 << 20).unwrap();
    source.put("a", "v1", &image);
    let (from, to, options) = (image_name("a:v1"), image_name("b:v1"), PushOptions::default());
    let copied = copy(&source.client, &from, &target.client, &to, &options, Progress::none()).await;
    assert_eq!(copied.unwrap().to_string(), image.digest());
}

#[tokio::test]
async fn a_damaged_source_changes_nothing() {
    let (fixture, folder) = (Fixture::new().await, tempfile::tempdir().unwrap());
    let image = sample(1);
    let mut bytes = oci_archive(&image);
    let layer = &image.layers()[1].gzip;
    let at = bytes.windows(layer.len()).position(|window| window == layer).unwrap();
    bytes[at + layer.len() / 2] ^= 1;
    let artifact = open(&bytes, folder.path()).await;
    let error = push_to(&fixture, &artifact, "a:v1").await.unwrap_err();
    let PushError::Blob { digest, source: BlobError::Damaged { origin, .. } } = &error else {
        panic!("{error:?}")
    };
    assert!(origin.contains("images.tar") && origin.contains(&at.to_string()), "{origin}");
    assert_eq!(*digest, Digest::sha256_of(layer));
    assert_unchanged(&fixture, "a");
    assert!(fixture.registry.blob("a", &digest.to_string()).is_none());
}

/// One layer that is large enough for the registry to be asked whether it checks digests, with a flipped bit; and where it is.
fn damaged_large_layer() -> (Vec<u8>, Digest, usize) {
    let image = RandomImage::of_sizes(1, &[9 << 20]).unwrap();
    let mut bytes = oci_archive(&image);
    let layer = &image.layers()[0].gzip;
    let at = bytes.windows(layer.len()).position(|window| window == layer).unwrap();
    bytes[at + layer.len() / 2] ^= 1;
    (bytes, Digest::sha256_of(layer), at)
}

/// A registry that takes a second for a large blob, so that what is asked meanwhile is answered.
async fn slow() -> Fixture {
    Fixture::with_quirks(|quirks| quirks.drain_rate = Some(9 << 20)).await
}

/// Uploads that were ended, or were to be.
fn ended_uploads(fixture: &Fixture) -> usize {
    fixture.registry.count(&Method::PUT, "/blobs/uploads/")
}

#[tokio::test]
async fn what_a_registry_refuses_for_its_digest_is_found_in_the_source() {
    let (fixture, folder) = (slow().await, tempfile::tempdir().unwrap());
    let (bytes, layer, at) = damaged_large_layer();
    let artifact = open(&bytes, folder.path()).await;
    let error = push_to(&fixture, &artifact, "a:v1").await.unwrap_err();
    let PushError::Blob { digest, source: BlobError::Damaged { origin, .. } } = &error else {
        panic!("{error:?}")
    };
    assert!(origin.contains(&at.to_string()) && *digest == layer, "{origin}");
    assert!(fixture.registry.received() > 9 << 20, "it was not the registry that refused");
    assert_unchanged(&fixture, "a");
    assert!(fixture.registry.blob("a", &layer.to_string()).is_none());
}

#[tokio::test]
async fn a_registry_that_checks_nothing_gets_no_damaged_blob() {
    let fixture = Fixture::with_quirks(|quirks| quirks.digests_unchecked = true).await;
    let folder = tempfile::tempdir().unwrap();
    let (bytes, layer, _) = damaged_large_layer();
    let artifact = open(&bytes, folder.path()).await;
    let error = push_to(&fixture, &artifact, "a:v1").await.unwrap_err();
    assert!(matches!(error, PushError::Blob { source: BlobError::Damaged { .. }, .. }), "{error:?}");
    assert_unchanged(&fixture, "a");
    assert!(fixture.registry.blob("a", &layer.to_string()).is_none());
}

#[tokio::test]
async fn a_registry_is_asked_once_whether_it_checks_digests_and_for_large_blobs_alone() {
    let (fixture, folder) = (slow().await, tempfile::tempdir().unwrap());
    let image = RandomImage::of_sizes(1, &[9 << 20, 9 << 20]).unwrap();
    let artifact = open(&oci_archive(&image), folder.path()).await;
    push_to(&fixture, &artifact, "a:v1").await.unwrap();
    // Two layers and the configuration.
    assert_eq!(ended_uploads(&fixture), 3 + 1);

    let artifact = open(&oci_archive(&sample(2)), folder.path()).await;
    push_to(&fixture, &artifact, "a:v2").await.unwrap();
    assert_eq!(ended_uploads(&fixture), 3 + 1 + LAYERS + 1);
}

#[tokio::test]
async fn a_registry_that_lies_in_a_copy_is_found_out() {
    let (source, target) = (Fixture::new().await, Fixture::new().await);
    source.put_image("a", "v1", 1);
    let artifact = fetch(&source.client, &image_name("a:v1"), None).await.unwrap();
    let Artifact::Image(image) = &artifact else { panic!("{artifact:?}") };
    let layer = image.parts()[1].ready().unwrap().descriptor().clone();
    let body = "x".repeat(usize::try_from(layer.size).unwrap());
    let answer = Fault::Answer { status: 200, headers: Vec::new(), body };
    source.registry.inject(Injection::next(Method::GET, format!("/blobs/{}", layer.digest), answer));
    let error = push_to(&target, &artifact, "b:v1").await.unwrap_err();
    let PushError::Blob { source: BlobError::Damaged { origin, .. }, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*origin, format!("{}/v2/a/blobs/{}", source.registry.url(), layer.digest));
    assert_unchanged(&target, "b");
}

#[tokio::test]
async fn a_push_that_is_refused_or_dropped_changes_nothing() {
    let (fixture, folder) = (Fixture::new().await, tempfile::tempdir().unwrap());
    let artifact = open(&oci_archive(&sample(1)), folder.path()).await;
    let denied = Fault::code(403, "DENIED");
    fixture.registry.inject(Injection::next(Method::PUT, "/blobs/uploads/", denied));
    let error = push_to(&fixture, &artifact, "a:v1").await.unwrap_err();
    assert!(matches!(&error, PushError::Upload { source, .. } if source.is_denied()), "{error:?}");
    assert_unchanged(&fixture, "a");

    fixture.registry.inject(Injection::next(Method::PUT, "/blobs/uploads/", Fault::Stall));
    let (progress, mut events) = Progress::channel();
    let (to, options) = (image_name("b:v1"), PushOptions::default());
    let under_way = async { while !matches!(events.recv().await, Some(Event::Advanced { .. })) {} };
    tokio::select! {
        pushed = push(&fixture.client, &artifact, &to, &options, progress) => panic!("{pushed:?}"),
        () = under_way => {}
    }
    assert_unchanged(&fixture, "b");

    let other = format!("c@{}", Digest::sha256_of("other"));
    let error = push_to(&fixture, &artifact, &other).await.unwrap_err();
    assert!(matches!(error, PushError::OtherDigest { .. }), "{error:?}");
    assert_eq!(fixture.registry.count(&Method::PUT, "/manifests/"), 0);
}
