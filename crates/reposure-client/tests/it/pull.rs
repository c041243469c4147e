//! Pulls, whole and through cuts.

use std::{collections::HashMap, convert::Infallible, fs::File, os::unix::fs::FileExt as _, sync::Arc};

use futures::TryStreamExt as _;
use http::Method;
use reposure_client::{
    progress::Progress,
    pull::{
        Piece, PieceSink, Place, PullError, PullOptions, fetch_blobs, fetch_into, fetch_tree, stream_blob,
    },
    session::Session,
};
use reposure_oci::{Algorithm, BlobError, Descriptor, Digest, Digester, MediaType, remote::RemoteError};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    api_server::{Failure, How},
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

/// Short ranges, so that a blob has some.
pub(crate) fn options() -> PullOptions {
    PullOptions { range: 1 << 20, longest_range: 1 << 20, ..PullOptions::default() }
}

/// Pulls in order, and returns the digests of what came.
async fn pull(scene: &Scene, name: &str) -> Result<Vec<Digest>, PullError> {
    let session = scene.session(Right::Pull).await.expect("a session");
    pull_over(&session, name).await
}

/// As [`pull`], over a session that is there.
pub(crate) async fn pull_over(session: &Arc<Session>, name: &str) -> Result<Vec<Digest>, PullError> {
    let name = image(name);
    let tree = fetch_tree(session, &name).await?;
    let blobs = tree.blobs();
    let mut sink = Collected::default();
    fetch_blobs(session, &name, &blobs, options(), &Progress::none(), &mut sink).await?;
    Ok((0..blobs.len()).map(|blob| Digest::sha256_of(&sink.0[&blob])).collect())
}

/// Lays blobs out in a file, with a gap before each.
fn places(file: &Arc<File>, blobs: &[Descriptor]) -> Vec<Place> {
    let mut start = 0;
    let place = |blob: &Descriptor| {
        start += 1000;
        let place = Place { blob: blob.clone(), file: file.clone(), start, durable: true, record: None };
        start += blob.size;
        place
    };
    blobs.iter().map(place).collect()
}

/// Pulls in place, and returns what the file holds.
pub(crate) async fn pull_into_file(
    scene: &Scene,
    name: &str,
    options: PullOptions,
) -> Result<Vec<Vec<u8>>, PullError> {
    let session = scene.session(Right::Pull).await.expect("a session");
    pull_into_file_over(&session, name, options).await
}

/// As [`pull_into_file`], over a session that is there.
pub(crate) async fn pull_into_file_over(
    session: &Arc<Session>,
    name: &str,
    options: PullOptions,
) -> Result<Vec<Vec<u8>>, PullError> {
    let name = image(name);
    let blobs = fetch_tree(session, &name).await?.blobs();
    let file = Arc::new(tempfile::tempfile().unwrap());
    let places = places(&file, &blobs);
    fetch_into(session, &name, places.clone(), options, &Progress::none()).await?;
    let read = |place: &Place| {
        let mut bytes = vec![0; usize::try_from(place.blob.size).unwrap()];
        file.read_exact_at(&mut bytes, place.start).unwrap();
        bytes
    };
    Ok(places.iter().map(read).collect())
}

pub(crate) fn digests(image: &RandomImage) -> Vec<Digest> {
    image.blobs().iter().map(Digest::sha256_of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_is_pulled() {
    let scene = Scene::new().await;
    let image = RandomImage::of_sizes(5, &[3 << 20, 100, 5 << 20]).unwrap();
    scene.push_image(&image).await;
    assert_eq!(pull(&scene, "app:v1").await.unwrap(), digests(&image));
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_pulled_to_their_places_through_cuts() {
    let scene = Scene::new().await;
    let image = RandomImage::of_sizes(8, &[5 << 20, 0, 100, (3 << 20) + 1]).unwrap();
    scene.push_image(&image).await;
    let cuts = [How::CutBefore, How::CutWithin(0), How::CutWithin(70_000), How::Status(503)];
    for cut in std::iter::once(None).chain(cuts.map(Some)) {
        if let Some(how) = cut {
            scene.fail("/blobs/", how);
        }
        let pulled = pull_into_file(&scene, "app:v1", options()).await.unwrap();
        assert!(pulled.iter().eq(image.blobs().iter()), "{cut:?}");
    }
}

/// An API server that is started again is away for longer than a few tries take.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_waited_for_as_blobs_are() {
    let scene = Scene::new().await;
    let image = RandomImage::of_sizes(8, &[100]).unwrap();
    scene.push_image(&image).await;
    scene.api_server.fail(Failure { path: "/manifests/".into(), after: 0, times: 6, how: How::Status(503) });
    assert_eq!(pull(&scene, "app:v1").await.unwrap(), digests(&image));
}

/// What came before a cut is not asked for again, so that a long range arrives over any link.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_goes_on_behind_what_came() {
    let scene = Scene::new().await;
    let image = RandomImage::new(9, 1, 3 << 20).unwrap();
    scene.push_image(&image).await;
    let blobs = image.blobs();
    let layer = format!("/blobs/{}", Digest::sha256_of(blobs.last().unwrap()));
    let failure = Failure { path: layer.clone(), after: 0, times: 3, how: How::CutWithin(300_000) };
    scene.api_server.fail(failure);
    scene.registry.clear_requests();
    let whole = PullOptions { range: 64 << 20, ..PullOptions::default() };
    let pulled = pull_into_file(&scene, "app:v1", whole).await.unwrap();
    assert!(pulled.iter().eq(blobs.iter()));
    let start = |headers: &[(String, String)]| {
        let range = headers.iter().find(|(name, _)| name == "range")?;
        range.1.strip_prefix("bytes=")?.split_once('-')?.0.parse::<u64>().ok()
    };
    let requests = scene.registry.requests();
    let asked = requests.iter().filter(|entry| entry.path.ends_with(&layer));
    let starts: Vec<u64> = asked.filter_map(|entry| start(&entry.headers)).collect();
    // Some of the bytes before a cut are lost with the connection, never all.
    assert!(starts.len() == 4 && starts.is_sorted_by(|one, next| one < next), "{starts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_other_bytes_is_no_success() {
    let scene = Scene::new().await;
    let image = RandomImage::new(11, 1, 3 << 20).unwrap();
    scene.push_image(&image).await;
    let session = scene.session(Right::Pull).await.unwrap();
    let mut blobs = fetch_tree(&session, &crate::support::image("app:v1")).await.unwrap().blobs();
    // A manifest that calls the last megabyte less of a layer by the layer's own digest.
    blobs.last_mut().unwrap().size -= 1 << 20;
    let places = places(&Arc::new(tempfile::tempfile().unwrap()), &blobs);
    let pulled =
        fetch_into(&session, &crate::support::image("app:v1"), places, options(), &Progress::none()).await;
    assert!(matches!(pulled, Err(PullError::Blob { source: BlobError::Digest { .. }, .. })), "{pulled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_breaks_off_is_fetched_again() {
    let scene = Scene::new().await;
    let image = RandomImage::new(6, 2, 4 << 20).unwrap();
    scene.push_image(&image).await;
    for how in [How::CutBefore, How::CutWithin(0), How::CutWithin(70_000), How::Status(503), How::Status(404)]
    {
        scene.fail("/blobs/", how);
        assert_eq!(pull(&scene, "app:v1").await.unwrap(), digests(&image), "{how:?}");
    }
}

/// Nobody could tell by its length that something is missing.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_say_its_length_is_not_taken_for_whole() {
    let scene = Scene::new().await;
    let image = RandomImage::new(5, 2, 2 << 20).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&image)).await;
    scene.push(&artifact, "app:v1").await.unwrap();
    let whole = image.manifest().len();
    for (path, length) in [("/manifests/", whole), ("/blobs/", 1 << 20)] {
        for cut in [0, 1, length / 2, length - 1] {
            scene.fail(path, How::CutUnannounced(cut));
            assert_eq!(pull(&scene, "app:v1").await.unwrap(), digests(&image), "{path} {cut}");
        }
    }
    // What the surrogate itself says is JSON, of which the beginning might be some too.
    for (seed, path) in (50..).zip(["/hello", "/exists", "/uploads", "/0", "/commit", "/v1/blobs/"]) {
        for cut in [0, 1, 40] {
            let repository = format!("app{seed}-{cut}");
            let image = RandomImage::new(seed * 100 + cut as u64, 1, 5 << 20).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&image)).await;
            // What does not even begin is asked for twice.
            let times = if path == "/hello" { 2 } else { 1 };
            scene.api_server.fail(Failure { times, ..Failure::next(path, How::CutUnannounced(cut)) });
            if path == "/hello" {
                assert!(scene.session(Right::Push).await.is_err(), "{cut}");
                scene.api_server.heal();
            }
            let pushed = scene.push(&artifact, &format!("{repository}:v1")).await;
            assert!(pushed.is_ok(), "{path} {cut}: {pushed:?}");
            scene.assert_holds(&image, &repository, "v1");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_the_registry_cannot_give_just_now_is_asked_for_again() {
    let scene = Scene::new().await;
    let image = RandomImage::new(7, 2, 2 << 20).unwrap();
    scene.push_image(&image).await;
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
    let Err(PullError::Image(error)) = pull(&scene, "no/such").await else { panic!("pulled") };
    let RemoteError::Manifest { source, .. } = *error else { panic!("{error:?}") };
    assert!(source.is_not_found(), "{source}");
}

/// SHA-512 is as good as SHA-256, for whoever has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_verified_by_the_algorithm_of_its_digest() {
    let scene = Scene::new().await;
    let session = scene.session(Right::Pull).await.unwrap();
    let (content, other) = ("some content", "else content");
    let mut digester = Digester::new(Algorithm::Sha512);
    digester.update(content.as_bytes());
    let blob = Descriptor::new(MediaType::OCTET_STREAM, digester.finish(), content.len() as u64);
    let (name, range) = (image("app"), format!("bytes 0-{}/{}", content.len() - 1, content.len()));
    for body in [content, other] {
        let headers = vec![("content-range".into(), range.clone())];
        let fault = Fault::Answer { status: 206, headers, body: body.into() };
        let injection = Injection::next(Method::GET, blob.digest.to_string(), fault);
        scene.registry.inject(Injection { times: 2, ..injection });
        let places = places(&Arc::new(tempfile::tempfile().unwrap()), std::slice::from_ref(&blob));
        let into_file = fetch_into(&session, &name, places, options(), &Progress::none()).await;
        let streamed: Result<Vec<_>, _> =
            stream_blob(&session, &name.repository, &blob, options()).try_collect().await;
        for result in [into_file, streamed.map(drop)] {
            match result {
                Ok(()) => assert_eq!(body, content),
                Err(PullError::Blob { source: BlobError::Digest { .. }, .. }) => assert_eq!(body, other),
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}
