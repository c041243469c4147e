//! Random cuts: whatever breaks, no byte is wrong, nothing is called done that is not, and everything ends.

use std::{env, fs, fs::File, str::FromStr, sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reposure_client::{
    progress::Progress,
    pull::PullOptions,
    push::{PushOptions, push},
    session::Session,
};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    api_server::{Behaviour, Failure, How, Tunnels},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{pull, support::Scene, support::image};

/// How many cuts are made where the variable `REPOSURE_CUTS` does not say it; `make soak` makes 10,000.
const CUTS: usize = 200;
/// How many pushes and pulls are under way at once, each with an API server and a registry of its own.
const LANES: usize = 4;
/// The images that one registry in memory has to hold, at most.
const IMAGES: usize = 20;
/// By when a push or a pull has to have ended: it waits some seconds behind each cut, and two minutes at most without progress.
const DEADLINE: Duration = Duration::from_secs(300);
/// Parts of the paths that a push asks for.
const OF_PUSH: [&str; 5] = ["/uploads", "/commit", "/exists", "/v1/blobs/", "/manifests/"];
/// Parts of the paths that a pull asks for.
const OF_PULL: [&str; 2] = ["/blobs/", "/manifests/"];
/// What takes the place of all paths on a session by forwarded ports.
const OF_PORT_FORWARD: [&str; 1] = ["/portforward"];
/// The same on a session by `exec`.
const OF_EXEC: [&str; 1] = ["/exec"];

#[tokio::test(flavor = "multi_thread")]
async fn random_cuts_lose_nothing() {
    let cuts: usize = variable("REPOSURE_CUTS").unwrap_or(CUTS);
    let seed: u64 = variable("REPOSURE_SEED").unwrap_or_else(rand::random);
    // What a failed test shows.
    eprintln!("REPOSURE_SEED={seed}");
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(run(StdRng::seed_from_u64(seed.wrapping_add(lane as u64)), cuts.div_ceil(LANES)));
    }
    while let Some(done) = lanes.join_next().await {
        done.expect("a lane ends well");
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Pushes and pulls until there were so many cuts.
async fn run(mut random: StdRng, cuts: usize) {
    let mut made = 0;
    while made < cuts {
        let tunnels = *[Tunnels::Given, Tunnels::Unknown].choose(&mut random).unwrap();
        let scene = Scene::with(Behaviour { tunnels, ..Behaviour::default() }).await;
        for number in 0..IMAGES {
            made += there_and_back(&scene, &mut random, number).await;
            if made >= cuts {
                break;
            }
        }
    }
}

/// Pushes an image and pulls it back, and returns how many cuts there were.
async fn there_and_back(scene: &Scene, random: &mut StdRng, number: usize) -> usize {
    let sizes: Vec<usize> = (0..random.random_range(1..4)).map(|_| random.random_range(0..2 << 20)).collect();
    let layers = RandomImage::of_sizes(random.random(), &sizes).unwrap();
    let (path, name) = (scene.path(&format!("{number}.tar")), format!("app{number}:v1"));
    layers.write_oci_archive("v1", File::create(&path).unwrap()).unwrap();
    let artifact = scene.open(path.clone()).await;
    fs::remove_file(path).unwrap();

    let (session, paths) = session(scene, random, Right::Push).await;
    let planned = fail(scene, random, paths);
    let wanted = image(&name);
    let pushed = push(session, &artifact, &wanted, PushOptions::default(), Progress::none());
    timeout(DEADLINE, pushed).await.expect("a push ends").expect("a push survives a few cuts");
    let cuts = planned - scene.api_server.heal();
    scene.assert_holds(&layers, &format!("app{number}"), "v1");

    let (session, paths) = self::session(scene, random, Right::Pull).await;
    let planned = fail(scene, random, paths);
    let options = PullOptions { range: 1 << 20, longest_range: 1 << 20, ..PullOptions::default() };
    let pulled = timeout(DEADLINE, pull::pull_into_file_over(&session, &name, options)).await;
    let pulled = pulled.expect("a pull ends").expect("a pull survives a few cuts");
    assert!(pulled.iter().eq(layers.blobs().iter()), "other bytes");
    cuts + planned - scene.api_server.heal()
}

/// Opens a session over one of the channels, and returns what its requests to the API server ask for.
async fn session(
    scene: &Scene,
    random: &mut StdRng,
    right: Right,
) -> (Arc<Session>, &'static [&'static str]) {
    let (session, paths): (_, &[&str]) = match random.random_range(0..3) {
        0 => (scene.session_by_port_forward(right).await, &OF_PORT_FORWARD),
        1 => (scene.session_by_exec(right).await, &OF_EXEC),
        _ if right == Right::Push => (scene.session(right).await, &OF_PUSH),
        _ => (scene.session(right).await, &OF_PULL),
    };
    (session.expect("nothing fails yet"), paths)
}

/// Plans a few cuts, and returns how many.
fn fail(scene: &Scene, random: &mut StdRng, paths: &[&str]) -> usize {
    let count = random.random_range(1..5);
    for _ in 0..count {
        let how = match random.random_range(0..5) {
            0 => How::CutBefore,
            1 => How::CutAfter,
            2 => How::Status(*[500, 502, 503, 504].choose(random).unwrap()),
            // Within headers of answers, a message's body, a chunk or a range.
            _ => How::CutWithin(*[0, 1, 100, 10_000, 700_000].choose(random).unwrap()),
        };
        let path = (*paths.choose(random).unwrap()).into();
        scene.api_server.fail(Failure { path, after: random.random_range(0..3), times: 1, how });
    }
    count
}
