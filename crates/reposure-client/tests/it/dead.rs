//! Links that never return: every push and every pull ends.

use std::{
    sync::{Arc, Once},
    thread,
    time::Duration,
};

use reposure_client::{
    channel::{Proxy, exec},
    progress::Progress,
    pull::{PullError, PullOptions},
    push::{PushError, PushOptions, push},
    session::Session,
};
use reposure_oci::Artifact;
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    relay::{Link, Relay},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    pull,
    support::{self, Scene, image},
    watched::Watched,
};

/// How long is waited for the link, instead of two minutes.
const PATIENCE: Duration = Duration::from_secs(8);
/// By when it has ended: well before it has been waited for twice.
const ENDS: Duration = Duration::from_secs(14);
/// By when it has ended where no answer comes: each is waited for for 30 s, and two follow each other at most.
const ENDS_UNANSWERED: Duration = Duration::from_secs(90);
/// By when it is done over another channel: two questions go without an answer before the first one is left.
const DONE: Duration = Duration::from_secs(115);
/// For how long a link is away that does not return within a test.
const FOR_GOOD: Duration = Duration::from_secs(3600);

/// A link that dies with the first request whose path holds some words.
fn dying(scene: &Scene, path: &'static str, die: fn(&Relay)) -> Watched {
    let relay = Relay::start(scene.api_server.address(), Link::default()).unwrap();
    let channel = Proxy::new(support::through(&relay), "ns", support::POD, 10250);
    let died = Once::new();
    Watched::new(channel, move |request| {
        if request.uri().path().contains(path) {
            died.call_once(|| {
                die(&relay);
                // It may return a moment before, and the request would still get through.
                thread::sleep(Duration::from_millis(300));
            });
        }
    })
}

/// Makes a black hole of a link, for all connections that there are and those that come.
fn swallow(relay: &Relay) {
    relay.set(Link { blackhole: true, ..Link::default() });
}

fn push_options() -> PushOptions {
    PushOptions { patience: PATIENCE, ..PushOptions::default() }
}

fn pull_options() -> PullOptions {
    PullOptions { patience: PATIENCE, ..PullOptions::default() }
}

async fn push_over(session: Arc<Session>, artifact: &Artifact, ends: Duration) -> PushError {
    let name = image("app:v1");
    let pushed = push(session, artifact, &name, push_options(), Progress::none());
    let pushed = timeout(ends, pushed).await.expect("a push ends");
    pushed.expect_err("a push that arrived over no link")
}

fn is_transient(error: &PushError) -> bool {
    match error {
        PushError::Exists(source) | PushError::Upload { source, .. } => source.is_transient(),
        PushError::Manifest { source, .. } => source.is_transient(),
        _ => false,
    }
}

/// Pushes for each path over a link that dies with the first request for it, to a surrogate that is an old one or not.
async fn pushes_end<const CASES: usize>(
    seeds: u64,
    cases: [(&'static str, bool); CASES],
    die: fn(&Relay),
    ends: Duration,
) {
    let mut tasks = JoinSet::new();
    for (seed, (path, is_old)) in (seeds..).zip(cases) {
        tasks.spawn(async move {
            let scene = Scene::new().await;
            let layers = RandomImage::new(seed, 1, 9 << 20).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&layers)).await;
            let channel = dying(&scene, path, die);
            let channel = if is_old { channel.of_an_old_surrogate() } else { channel };
            let session = scene.session_over(channel, Right::Push).await.unwrap();
            let error = push_over(session, &artifact, ends).await;
            assert!(is_transient(&error), "{path}: {error:?}");
            assert!(scene.registry.tags("app").is_empty(), "{path}");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a push ends as it should");
    }
}

/// In each of its phases, with a commit that comes early, and with one that comes behind the last chunk.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_ends_when_its_link_never_returns() {
    let cases = [
        ("/exists", false),
        ("/v1/blobs/", false),
        ("/uploads", false),
        ("/4194304", false),
        ("/commit", false),
        ("/commit", true),
        ("/manifests/", false),
    ];
    pushes_end(170, cases, |relay| relay.cut(FOR_GOOD), ENDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_ends_when_its_link_never_returns() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(180, 2, 9 << 20).unwrap();
    scene.push_image(&layers).await;
    let channel = dying(&scene, "/blobs/", |relay| relay.cut(FOR_GOOD));
    let session = scene.session_over(channel, Right::Pull).await.unwrap();
    let pulled = timeout(ENDS, pull::pull_into_file_over(&session, "app:v1", pull_options())).await;
    let error = pulled.expect("a pull ends").unwrap_err();
    assert!(matches!(error, PullError::Range { .. }) && error.is_transient(), "{error:?}");
}

/// What takes all that is sent and gives nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_into_a_black_hole_ends() {
    let cases = ["/exists", "/v1/blobs/", "/commit", "/manifests/"].map(|path| (path, false));
    pushes_end(181, cases, swallow, ENDS_UNANSWERED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_out_of_a_black_hole_ends() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(185, 2, 9 << 20).unwrap();
    scene.push_image(&layers).await;
    let session = scene.session_over(dying(&scene, "/blobs/", swallow), Right::Pull).await.unwrap();
    let pulled = pull::pull_into_file_over(&session, "app:v1", pull_options());
    let error = timeout(ENDS_UNANSWERED, pulled).await.expect("a pull ends").unwrap_err();
    assert!(matches!(error, PullError::Range { .. }) && error.is_transient(), "{error:?}");
}

/// Opens a session whose first channel becomes a black hole, and whose second one goes another way.
async fn with_another_way(scene: &Scene, path: &'static str, right: Right) -> Arc<Session> {
    // Chunks that are on their way would be waited for for longer.
    let channel = dying(scene, path, swallow).of_an_old_surrogate();
    let session = Arc::into_inner(scene.session_over(channel, right).await.unwrap()).unwrap();
    Arc::new(session.with_alternatives(vec![Arc::new(exec(scene.api_server(), "ns", support::POD))]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_on_another_way_than_into_a_black_hole() {
    let mut tasks = JoinSet::new();
    for (seed, path) in (186..).zip(["/commit", "/manifests/"]) {
        tasks.spawn(async move {
            let scene = Scene::new().await;
            let layers = RandomImage::new(seed, 1, 9 << 20).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&layers)).await;
            let session = with_another_way(&scene, path, Right::Push).await;
            let (name, options) = (image("app:v1"), PushOptions::default());
            let pushed = push(session.clone(), &artifact, &name, options, Progress::none());
            timeout(DONE, pushed).await.expect("a push ends").unwrap();
            scene.assert_holds(&layers, "app", "v1");
            assert_eq!(session.channel_name(), "exec", "{path}");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a push ends as it should");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_another_way_than_out_of_a_black_hole() {
    let scene = Scene::new().await;
    let layers = RandomImage::new(188, 2, 9 << 20).unwrap();
    scene.push_image(&layers).await;
    let session = with_another_way(&scene, "/blobs/", Right::Pull).await;
    let pulled = pull::pull_into_file_over(&session, "app:v1", PullOptions::default());
    let pulled = timeout(DONE, pulled).await.expect("a pull ends").unwrap();
    assert!(pulled == layers.blobs());
    assert_eq!(session.channel_name(), "exec");
}
