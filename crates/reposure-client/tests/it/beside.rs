//! Manifests that are sent beside the blobs of their images.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use reposure_client::{
    channel::Proxy,
    progress::Progress,
    push::{PushError, PushOptions, push},
    session::Session,
};
use reposure_oci::Digest;
use reposure_parcel::{after, wire::Right};
use reposure_testing::{
    DigestHeader, RandomImage,
    api_server::How,
    registry::{Fault, Injection},
    relay::{Cuts, Link, Relay},
};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    support::{POD, Scene, image as image_name, through},
    watched::Watched,
};

fn far() -> Link {
    Link { round_trip: Duration::from_millis(50), ..Link::default() }
}

/// What each manifest was to wait for, of those that were sent.
type Sent = Arc<Mutex<Vec<Option<String>>>>;

fn relay(scene: &Scene, link: Link) -> Relay {
    Relay::start(scene.api_server.url().trim_start_matches("http://").parse().unwrap(), link).unwrap()
}

/// Opens a session over a relay, with a surrogate of today or one of before.
async fn session_over(scene: &Scene, relay: &Relay, is_old: bool) -> (Arc<Session>, Sent) {
    let sent = Sent::default();
    let seen = sent.clone();
    let channel = Watched::new(Proxy::new(through(relay), "ns", POD, 10250), move |request| {
        if request.method() == Method::PUT && request.uri().path().contains("/manifests/") {
            let value = request.headers().get(after::HEADER);
            seen.lock().unwrap().push(value.map(|value| value.to_str().unwrap().to_owned()));
        }
    });
    let channel = if is_old { channel.of_an_old_surrogate() } else { channel };
    let session = Session::open(Arc::new(channel), Arc::new(scene.tokens()), Right::Push).await.unwrap();
    (Arc::new(session), sent)
}

/// Pushes an image to `app:v1` over a relay, by a surrogate of today or one of before.
async fn push_over(
    scene: &Scene,
    relay: &Relay,
    image: &RandomImage,
    is_old: bool,
) -> (Result<Digest, PushError>, Vec<Option<String>>) {
    let (session, sent) = session_over(scene, relay, is_old).await;
    let pushed = push_by(scene, session, image).await;
    let sent = sent.lock().unwrap().clone();
    (pushed, sent)
}

async fn push_by(scene: &Scene, session: Arc<Session>, image: &RandomImage) -> Result<Digest, PushError> {
    let artifact = scene.open(scene.write_oci_archive(image)).await;
    let name = image_name("app:v1");
    let options = PushOptions { patience: Duration::from_secs(20), ..PushOptions::default() };
    push(session, &artifact, &name, options, Progress::none()).await
}

/// Returns the digests that a manifest was to wait for.
fn named(value: Option<&String>) -> Vec<String> {
    let mut digests: Vec<_> = value.unwrap().split(',').map(ToOwned::to_owned).collect();
    digests.sort_unstable();
    digests
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_long_way_a_manifest_waits_at_the_surrogate() {
    let layers = RandomImage::new(130, 5, 100_000).unwrap();
    let mut blobs: Vec<_> = layers.blobs().iter().map(|blob| Digest::sha256_of(blob).to_string()).collect();
    blobs.sort_unstable();
    let scene = Scene::new().await;
    let (pushed, sent) = push_over(&scene, &relay(&scene, far()), &layers, false).await;
    pushed.unwrap();
    scene.assert_holds(&layers, "app", "v1");
    assert_eq!((sent.len(), named(sent[0].as_ref())), (1, blobs));
    let last = scene.registry.requests().into_iter().rfind(|entry| entry.method == Method::PUT).unwrap();
    assert!(last.path.ends_with("/manifests/v1"), "{last:?}");

    // Nothing is missing that it could wait for.
    let (pushed, sent) = push_over(&scene, &relay(&scene, far()), &layers, false).await;
    pushed.unwrap();
    assert_eq!(sent, [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_goes_behind_the_blobs_where_it_cannot_wait_or_need_not() {
    for (link, size, is_old) in
        [(far(), 100_000, true), (Link::default(), 100_000, false), (far(), 5 << 20, false)]
    {
        let layers = RandomImage::new(131, 2, size).unwrap();
        let scene = Scene::new().await;
        let round_trip = link.round_trip;
        let relay = relay(&scene, link);
        let (session, sent) = session_over(&scene, &relay, is_old).await;
        push_by(&scene, session.clone(), &layers).await.unwrap();
        scene.assert_holds(&layers, "app", "v1");
        // A busy machine may make a short way a long one.
        if round_trip.is_zero() && session.is_far() {
            continue;
        }
        assert_eq!(*sent.lock().unwrap(), [None], "{round_trip:?} {size} {is_old}");
    }
}

/// A registry that does not say what it has stored is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_waited_is_stored_once() {
    let layers = RandomImage::new(134, 3, 100_000).unwrap();
    let scene = Scene::new().await;
    scene.registry.change_quirks(|quirks| quirks.digest_header = DigestHeader::Absent);
    let (pushed, sent) = push_over(&scene, &relay(&scene, far()), &layers, false).await;
    pushed.unwrap();
    scene.assert_holds(&layers, "app", "v1");
    assert!(sent.len() == 1 && sent[0].is_some(), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_lost_on_its_way_is_sent_behind_the_blobs() {
    let layers = RandomImage::new(132, 3, 100_000).unwrap();
    let scene = Scene::new().await;
    scene.fail("/manifests/", How::Status(500));
    let (pushed, sent) = push_over(&scene, &relay(&scene, far()), &layers, false).await;
    pushed.unwrap();
    scene.assert_holds(&layers, "app", "v1");
    assert!(sent.len() == 2 && sent[0].is_some() && sent[1].is_none(), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_tag_where_a_blob_is_refused() {
    let layers = RandomImage::new(133, 3, 100_000).unwrap();
    let scene = Scene::new().await;
    // Of whichever blob it is that comes third.
    let (method, path, fault) = (Some(Method::PUT), "/blobs/uploads/".into(), Fault::status(403));
    scene.registry.inject(Injection { method, path, skip: 2, times: usize::MAX, fault });
    let (pushed, sent) = push_over(&scene, &relay(&scene, far()), &layers, false).await;
    let error = pushed.unwrap_err();
    assert!(matches!(error, PushError::Upload { .. }), "{error:?}");
    assert!(sent.len() == 1 && sent[0].is_some(), "{sent:?}");
    // It would come when the surrogate has given up waiting, at the latest.
    sleep(after::PATIENCE + Duration::from_secs(1)).await;
    assert_eq!(scene.registry.count(&Method::PUT, "/manifests/"), 0);
}

/// Cuts what there is of a push after its hello, and some connections more.
async fn break_off(relay: Arc<Relay>, seed: u64) {
    // In each part of a push, which takes three round trips.
    sleep(Duration::from_millis(10 * seed)).await;
    relay.set(Link { cuts: Some(Cuts { after: 0..40_000, seed }), ..far() });
    relay.cut(Duration::ZERO);
    let before = relay.counts().cuts;
    while relay.counts().cuts < before + 4 {
        sleep(Duration::from_millis(5)).await;
    }
    relay.set(far());
}

/// Whatever of it is cut off: the blobs, the manifest, or the answers.
#[tokio::test(flavor = "multi_thread")]
async fn cuts_lose_nothing() {
    for seed in 0..20 {
        let layers = RandomImage::new(140 + seed, 4, 30_000).unwrap();
        let scene = Scene::new().await;
        let relay = Arc::new(relay(&scene, far()));
        let (session, sent) = session_over(&scene, &relay, false).await;
        let breaking = AbortOnDropHandle::new(tokio::spawn(break_off(relay.clone(), seed)));
        let pushing = push_by(&scene, session, &layers);
        let pushed = timeout(Duration::from_secs(60), pushing).await.expect("it ends");
        drop(breaking);
        pushed.unwrap_or_else(|error| panic!("{seed}: {error:?}"));
        scene.assert_holds(&layers, "app", "v1");
        assert!(!sent.lock().unwrap().is_empty());
    }
}
