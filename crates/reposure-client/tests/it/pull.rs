//! Pulls, whole and through cuts.

use std::{collections::HashMap, convert::Infallible};

use http::Method;
use reposure_client::{
    progress::Progress,
    pull::{Piece, PieceSink, PullError, PullOptions, fetch_blobs, fetch_tree},
};
use reposure_oci::{Descriptor, Digest, MediaType};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    api_server::How,
    registry::{Fault, Injection},
};

use crate::support::{Scene, image};

#[derive(Default)]
struct Collected(HashMap<usize, Vec<u8>>);

impl PieceSink for Collected {
    type Error = Infallible;

    async fn take(&mut self, piece: Piece) -> Result<(), Infallible> {
        self.0.entry(piece.blob).or_default().extend_from_slice(&piece.bytes);
        Ok(())
    }
}

async fn pull(scene: &Scene, name: &str) -> Result<Vec<Digest>, PullError> {
    let session = scene.session(Right::Pull).await.expect("a session");
    let name = image(name);
    let tree = fetch_tree(&session, &name).await?;
    let blobs = tree.blobs();
    let mut sink = Collected::default();
    let options = PullOptions { range: 1 << 20, ..PullOptions::default() };
    fetch_blobs(&session, &name, &blobs, options, &Progress::none(), &mut sink).await?;
    Ok((0..blobs.len()).map(|blob| Digest::sha256_of(&sink.0[&blob])).collect())
}

fn digests(image: &RandomImage) -> Vec<Digest> {
    image.blobs().iter().map(Digest::sha256_of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_is_pulled() {
    let scene = Scene::new().await;
    let image = RandomImage::of_sizes(5, &[3 << 20, 100, 5 << 20]).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.push(&artifact, "app:v1").await.unwrap();
    assert_eq!(pull(&scene, "app:v1").await.unwrap(), digests(&image));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_breaks_off_is_fetched_again() {
    let scene = Scene::new().await;
    let image = RandomImage::new(6, 2, 4 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.push(&artifact, "app:v1").await.unwrap();
    for how in [How::CutBefore, How::CutWithin(0), How::CutWithin(70_000), How::Status(503), How::Status(404)]
    {
        scene.fail("/blobs/", how);
        assert_eq!(pull(&scene, "app:v1").await.unwrap(), digests(&image), "{how:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_the_registry_cannot_give_just_now_is_asked_for_again() {
    let scene = Scene::new().await;
    let image = RandomImage::new(7, 2, 2 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.push(&artifact, "app:v1").await.unwrap();
    for status in [429, 500, 503] {
        scene.registry.inject(Injection::next(Method::GET, "/blobs/", Fault::status(status)));
        assert_eq!(pull(&scene, "app:v1").await.unwrap(), digests(&image), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_nothing_has_takes_no_memory() {
    let scene = Scene::new().await;
    let session = scene.session(Right::Pull).await.unwrap();
    let digest = Digest::sha256_of("");
    let blobs = [Descriptor::new(MediaType::OCTET_STREAM, digest, u64::MAX >> 1)];
    let options = PullOptions { range: 1, ..PullOptions::default() };
    let (name, progress, mut sink) = (image("app"), Progress::none(), Collected::default());
    let pulled = fetch_blobs(&session, &name, &blobs, options, &progress, &mut sink).await;
    assert!(matches!(pulled, Err(PullError::Answer { .. })), "{pulled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_no_answer_of_the_api_server() {
    let scene = Scene::new().await;
    let Err(PullError::Manifest { source, .. }) = pull(&scene, "no/such").await else { panic!("pulled") };
    assert!(source.is_not_found(), "{source}");
}
