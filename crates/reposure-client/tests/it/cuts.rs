//! Random cuts: whatever breaks, no byte is wrong, nothing is called done that is not, and everything ends.
//!
//! A relay cuts the connections to the stand-in for the API server, and counts. Beside it the stand-in loses answers and refuses.

use std::{env, fs, fs::File, str::FromStr, sync::Arc, time::Duration};

use http::Method;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reposure_client::{
    progress::Progress,
    pull::PullOptions,
    push::{PushError, PushOptions, push},
    session::Session,
};
use reposure_oci::{Artifact, Digest};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    api_server::{Behaviour, Failure, How, Tunnels},
    registry::{Fault, Injection},
    relay::{Cuts, Link, Relay},
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{pull, support::Scene, support::image};

/// How many cuts are made where the variable `REPOSURE_CUTS` does not say it; `make soak` makes 10,000.
const CUTS: usize = 200;
/// How many pushes and pulls are under way at once, each with an API server, a relay and a registry of its own.
const LANES: usize = 4;
/// The images that one registry in memory has to hold, at most.
const IMAGES: usize = 20;
/// By when a push or a pull has to have ended: it waits some seconds behind each cut, and two minutes at most without progress.
const DEADLINE: Duration = Duration::from_secs(300);
/// How many connections are cut at least before the link stays whole.
const LONGEST: u64 = 5;
/// Within how many of its first bytes a connection is cut: in a request's headers, in the first answer, in a chunk or a range, behind
/// some of them.
const WITHIN: [u64; 6] = [400, 4_000, 40_000, 400_000, 3_000_000, 20_000_000];
/// How large layers are at most: each in one request, or in some chunks.
const LARGEST: [usize; 3] = [2 << 20, 2 << 20, 20 << 20];
/// How often is looked how many were cut.
const POLL: Duration = Duration::from_millis(2);
/// Parts of the paths that are asked for.
const PATHS: [&str; 8] =
    ["/uploads", "/commit", "/exists", "/v1/blobs/", "/blobs/", "/manifests/", "/portforward", "/exec"];

#[tokio::test(flavor = "multi_thread")]
async fn random_cuts_lose_nothing() {
    let cuts: usize = variable("REPOSURE_CUTS").unwrap_or(CUTS);
    let seed: u64 = variable("REPOSURE_SEED").unwrap_or_else(rand::random);
    // What a failed test shows.
    eprintln!("REPOSURE_SEED={seed}");
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(run(StdRng::seed_from_u64(seed.wrapping_add(lane as u64)), cuts.div_ceil(LANES) as u64));
    }
    while let Some(done) = lanes.join_next().await {
        done.expect("a lane ends well");
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Pushes and pulls until so many connections were cut.
async fn run(mut random: StdRng, cuts: u64) {
    let mut made = 0;
    while made < cuts {
        let tunnels = *[Tunnels::Given, Tunnels::Unknown].choose(&mut random).unwrap();
        let scene = Scene::with(Behaviour { tunnels, ..Behaviour::default() }).await;
        let relay = Arc::new(Relay::start(scene.api_server.address(), Link::default()).unwrap());
        for number in 0..IMAGES {
            there_and_back(&scene, &relay, &mut random, number).await;
            if made + relay.counts().cuts >= cuts {
                break;
            }
        }
        made += relay.counts().cuts;
    }
}

/// Pushes an image that cannot arrive, then lets it arrive, and pulls it back.
async fn there_and_back(scene: &Scene, relay: &Arc<Relay>, random: &mut StdRng, number: usize) {
    let largest = *LARGEST.choose(random).unwrap();
    let sizes: Vec<usize> = (0..random.random_range(1..4)).map(|_| random.random_range(0..largest)).collect();
    let layers = RandomImage::of_sizes(random.random(), &sizes).unwrap();
    let (path, repository) = (scene.path(&format!("{number}.tar")), format!("app{number}"));
    let name = format!("{repository}:v1");
    layers.write_oci_archive("v1", File::create(&path).unwrap()).unwrap();
    let artifact = scene.open(path.clone()).await;
    fs::remove_file(path).unwrap();

    let (session, breaking) = breaking_session(scene, relay, random, Right::Push).await;
    in_vain(scene, random, session, &artifact, &layers, &repository).await;
    breaking.end().await;

    let (session, breaking) = breaking_session(scene, relay, random, Right::Push).await;
    pushed(session, &artifact, &name).await.expect("a push survives a few cuts");
    scene.assert_holds(&layers, &repository, "v1");
    breaking.end().await;

    let (session, breaking) = breaking_session(scene, relay, random, Right::Pull).await;
    let options = PullOptions { range: 1 << 20, longest_range: 1 << 20, ..PullOptions::default() };
    let pulled = timeout(DEADLINE, pull::pull_into_file_over(&session, &name, options)).await;
    let pulled = pulled.expect("a pull ends").expect("a pull survives a few cuts");
    assert!(pulled.iter().eq(layers.blobs().iter()), "other bytes");
    breaking.end().await;
}

async fn pushed(session: Arc<Session>, artifact: &Artifact, name: &str) -> Result<Digest, PushError> {
    let name = image(name);
    let pushed = push(session, artifact, &name, PushOptions::default(), Progress::none());
    timeout(DEADLINE, pushed).await.expect("a push ends")
}

/// Pushes to a registry that refuses a part for good, or for a client that leaves in the middle.
async fn in_vain(
    scene: &Scene,
    random: &mut StdRng,
    session: Arc<Session>,
    artifact: &Artifact,
    layers: &RandomImage,
    repository: &str,
) {
    let name = format!("{repository}:v1");
    let refused = *["/blobs/uploads/", "/manifests/", "nothing"].choose(random).unwrap();
    if refused == "nothing" {
        let patience = Duration::from_millis(random.random_range(0..300));
        let left = timeout(patience, pushed(session, artifact, &name)).await;
        if left.is_ok() || scene.registry.manifest(repository, "v1").is_some() {
            scene.assert_holds(layers, repository, "v1");
        }
        return;
    }
    let fault = [Fault::code(403, "DENIED"), Fault::status(507)].choose(random).unwrap().clone();
    let injection = Injection::next(Method::PUT, format!("/{repository}{refused}"), fault);
    scene.registry.inject(Injection { times: usize::MAX, ..injection });
    let pushed = pushed(session, artifact, &name).await;
    assert!(pushed.is_err(), "a push without {refused} is no success");
    assert_eq!(scene.registry.manifest(repository, "v1"), None, "there is a tag");
    scene.registry.heal();
}

/// Opens a session over a link that breaks from its beginning, or, more often, from now on: what it has open is cut then.
async fn breaking_session(
    scene: &Scene,
    relay: &Arc<Relay>,
    random: &mut StdRng,
    right: Right,
) -> (Arc<Session>, Breaking) {
    if random.random_ratio(1, 4) {
        let breaking = break_link(scene, relay, random);
        return (session(scene, relay, random, right).await, breaking);
    }
    let session = session(scene, relay, random, right).await;
    let breaking = break_link(scene, relay, random);
    relay.cut(Duration::ZERO);
    (session, breaking)
}

/// Opens a session over one of the channels: over a link that breaks, not at once.
async fn session(scene: &Scene, relay: &Relay, random: &mut StdRng, right: Right) -> Arc<Session> {
    let channel = random.random_range(0..3);
    let opened = async {
        loop {
            let opened = match channel {
                0 => scene.try_session_by_port_forward_through(relay, right).await,
                1 => scene.try_session_by_exec_through(relay, right).await,
                _ => scene.try_session_through(relay, right).await,
            };
            if let Ok(session) = opened {
                return session;
            }
            sleep(POLL).await;
        }
    };
    timeout(DEADLINE, opened).await.expect("a session, once the link is whole")
}

/// Lets connections be cut from now on, until there were some cuts; and a few requests fail otherwise.
fn break_link(scene: &Scene, relay: &Arc<Relay>, random: &mut StdRng) -> Breaking {
    scene.api_server.heal();
    for _ in 0..random.random_range(0..3) {
        let how = match random.random_range(0..3) {
            0 => How::CutAfter,
            1 => How::CutWithin(random.random_range(0..1000)),
            _ => How::Status(*[500, 502, 503, 504].choose(random).unwrap()),
        };
        let path = (*PATHS.choose(random).unwrap()).into();
        scene.api_server.fail(Failure { path, after: random.random_range(0..3), times: 1, how });
    }
    let cuts = Some(Cuts { after: 0..*WITHIN.choose(random).unwrap(), seed: random.random() });
    relay.set(Link { cuts, ..Link::default() });
    let last = relay.counts().cuts + random.random_range(1..=LONGEST);
    let ours = relay.clone();
    let task = tokio::spawn(async move {
        while ours.counts().cuts < last {
            sleep(POLL).await;
        }
        ours.set(Link::default());
    });
    Breaking { relay: relay.clone(), task }
}

/// A link that breaks until there were some cuts.
struct Breaking {
    relay: Arc<Relay>,
    task: JoinHandle<()>,
}

impl Breaking {
    /// Makes the link whole at once.
    async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
        self.relay.set(Link::default());
    }
}
