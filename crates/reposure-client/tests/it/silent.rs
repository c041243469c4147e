//! What is silent: links that are half open, middle boxes that cut what is silent, and who lets a client in and says no more.

use std::{sync::Arc, time::Duration};

use reposure_client::{
    progress::{Event, Progress},
    pull::PullOptions,
    push::{PushOptions, push},
};
use reposure_parcel::wire::Right;
use reposure_testing::{
    RandomImage,
    api_server::{Behaviour, How, Tunnels},
    relay::{Link, Relay},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    pull,
    support::{Scene, image},
};

/// By when what was under way on a link that is half open, or leads nowhere, goes on: it is known after 30 to 40 s, and of what is idle at
/// the same time.
const FOUND_OUT: Duration = Duration::from_secs(75);
/// A link on which 24 MiB take some seconds.
const SLOW: Link = Link {
    round_trip: Duration::ZERO,
    bandwidth: Some(2 << 20),
    total: None,
    blackhole: false,
    idle: None,
    cuts: None,
    outage: None,
};

fn relay(scene: &Scene, link: Link) -> Arc<Relay> {
    let address = scene.api_server.address();
    Arc::new(Relay::start(address, link).unwrap())
}

/// Waits until so much has gone through a relay, lets all connections die that there are, and makes it as fast as it can be.
async fn let_die(relay: Arc<Relay>, die: fn(&Relay), after: u64) {
    while relay.counts().up + relay.counts().down < after {
        sleep(Duration::from_millis(5)).await;
    }
    die(&relay);
    relay.set(Link::default());
}

/// Pushes `mebibytes` over each channel, at so many bytes a second; some of them come before all connections die.
async fn push_over_dying_connections(mebibytes: usize, before: u64, bandwidth: u64, die: fn(&Relay)) {
    let mut tasks = JoinSet::new();
    for channel in 0..3 {
        tasks.spawn(async move {
            let scene = Scene::new().await;
            let layers = RandomImage::new(140 + channel as u64, 2, mebibytes << 19).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&layers)).await;
            let relay = relay(&scene, Link { bandwidth: Some(bandwidth), ..SLOW });
            let session = scene.sessions_through(&relay, Right::Push).await[channel].clone();
            let name = session.channel_name();
            let died = tokio::spawn(let_die(relay.clone(), die, before << 20));
            let wanted = image("app:v1");
            let began = Instant::now();
            let pushed = push(session, &artifact, &wanted, PushOptions::default(), Progress::none());
            let pushed = timeout(FOUND_OUT, pushed).await;
            pushed.map_err(|_| format!("{name}: it takes too long")).unwrap().unwrap();
            assert!(died.is_finished(), "{name}: it ended before");
            assert!(began.elapsed() > Duration::from_secs(20), "{name}: nothing died");
            scene.assert_holds(&layers, "app", "v1");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a push ends well");
    }
}

/// Pulls 24 MiB over each channel, of which some come before all connections die.
async fn pull_over_dying_connections(die: fn(&Relay)) {
    let mut tasks = JoinSet::new();
    for channel in 0..3 {
        tasks.spawn(async move {
            let scene = Scene::new().await;
            let layers = RandomImage::new(143 + channel as u64, 2, 12 << 20).unwrap();
            scene.push_image(&layers).await;
            let relay = relay(&scene, SLOW);
            let session = scene.sessions_through(&relay, Right::Pull).await[channel].clone();
            let name = session.channel_name();
            let died = tokio::spawn(let_die(relay.clone(), die, 8 << 20));
            let pulled = pull::pull_into_file_over(&session, "app:v1", PullOptions::default());
            let pulled = timeout(FOUND_OUT, pulled).await;
            let pulled = pulled.map_err(|_| format!("{name}: it takes too long")).unwrap().unwrap();
            assert!(died.is_finished(), "{name}: it ended before");
            assert!(pulled == layers.blobs(), "{name}: other bytes");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a pull ends well");
    }
}

/// A balancer or a firewall that has forgotten a connection says nothing to anyone: bytes are not even acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_on_when_its_connections_are_half_open() {
    push_over_dying_connections(24, 8, 2 << 20, Relay::forget).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_when_its_connections_are_half_open() {
    pull_over_dying_connections(Relay::forget).await;
}

/// What is sent to a middle box that has lost its other side is acknowledged, so that TCP sees nothing wrong. How long a chunk takes is known
/// by then, since others have arrived.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_goes_on_when_its_connections_lead_nowhere() {
    push_over_dying_connections(48, 36, 8 << 20, Relay::swallow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_when_its_connections_lead_nowhere() {
    pull_over_dying_connections(Relay::swallow).await;
}

/// What middle boxes cut is silent for 20 s. A slow registry is waited for by question and answer, and sessions say that they are there.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_silent_for_as_long_as_a_slow_registry_takes() {
    let mut tasks = JoinSet::new();
    for channel in 0..3 {
        tasks.spawn(async move {
            let scene = Scene::new().await;
            // The commit takes 25 s.
            scene.registry.change_quirks(|quirks| quirks.drain_rate = Some(400 << 10));
            let layers = RandomImage::new(146 + channel as u64, 1, 10 << 20).unwrap();
            let artifact = scene.open(scene.write_oci_archive(&layers)).await;
            let relay = relay(&scene, Link { idle: Some(Duration::from_secs(12)), ..Link::default() });
            let session = scene.sessions_through(&relay, Right::Push).await[channel].clone();
            let name = session.channel_name();
            let (progress, mut events) = Progress::channel();
            let (wanted, began) = (image("app:v1"), Instant::now());
            push(session, &artifact, &wanted, PushOptions::default(), progress).await.unwrap();
            assert!(began.elapsed() > Duration::from_secs(13), "{name}: nothing was slow");
            while let Ok(event) = events.try_recv() {
                assert!(!matches!(event, Event::Retrying { .. }), "{name}: {event:?}");
            }
            scene.assert_holds(&layers, "app", "v1");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a push ends well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_nothing_to_do_is_not_silent() {
    let scene = Scene::new().await;
    let relay = relay(&scene, Link { idle: Some(Duration::from_secs(12)), ..Link::default() });
    let session = scene.session_by_exec_through(&relay, Right::Push).await;
    sleep(Duration::from_secs(26)).await;
    assert_eq!(relay.counts().cuts, 0);
    let layers = RandomImage::new(149, 1, 1000).unwrap();
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    push(session, &artifact, &image("app:v1"), PushOptions::default(), Progress::none()).await.unwrap();
    assert_eq!(relay.counts().connections, 1, "the session is the first one");
}

/// The API server says yes before it has asked anyone: what comes then is waited for no longer than a hello.
#[tokio::test(flavor = "multi_thread")]
async fn who_lets_a_client_in_and_says_no_more_is_given_up() {
    let cases =
        [("/exec", Tunnels::Given), ("/portforward", Tunnels::Given), ("/portforward", Tunnels::Unknown)];
    for (path, tunnels) in cases {
        let scene = Scene::with(Behaviour { tunnels, ..Behaviour::default() }).await;
        scene.fail(path, How::Mute);
        let began = Instant::now();
        let open = || async {
            if path == "/exec" {
                scene.session_by_exec(Right::Pull).await
            } else {
                scene.session_by_port_forward(Right::Pull).await
            }
        };
        let error = open().await.unwrap_err();
        assert!(error.is_transient(), "{path}: {error:?}");
        assert!(began.elapsed() < Duration::from_secs(14), "{path}: {:?}", began.elapsed());
        open().await.unwrap();
    }
}
