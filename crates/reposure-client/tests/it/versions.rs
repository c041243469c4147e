//! A surrogate of an older version: what it does not say that it can goes another way.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use reposure_client::{
    channel::{Channel, PortForward, Proxy},
    progress::Progress,
    pull::PullOptions,
    push::{Ahead, PushOptions, push},
    session::Session,
};
use reposure_oci::{Tag, registry};
use reposure_parcel::wire::{self, Right};
use reposure_testing::RandomImage;
use serde_json::Value;

use crate::{
    pull,
    support::{POD, Scene, image},
    watched::Watched,
};

/// The bodies of the requests whose paths end with some word.
#[derive(Clone, Default)]
struct Bodies(Arc<Mutex<Vec<Value>>>);

impl Bodies {
    fn take(&self, request: &Request<Bytes>, end: &str) {
        if request.uri().path().ends_with(end) {
            self.0.lock().unwrap().push(serde_json::from_slice(request.body()).unwrap());
        }
    }

    fn get(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
}

/// Two large blobs, one that is empty, and more small ones than have places at once.
fn layers() -> RandomImage {
    let sizes = [9 << 20, 5 << 20, 0].into_iter().chain((1..=30).map(|size| size * 100));
    RandomImage::of_sizes(95, &sizes.collect::<Vec<_>>()).unwrap()
}

/// Pushes, lists, pulls and deletes, and returns what was asked when blobs were committed.
async fn use_it(scene: &Scene, channel: impl Channel + 'static) -> Vec<Value> {
    let commits = Bodies::default();
    let (layers, seen) = (layers(), commits.clone());
    let artifact = scene.open(scene.write_oci_archive(&layers)).await;
    let channel =
        Arc::new(Watched::new(channel, move |request| seen.take(request, "/commit")).of_an_old_surrogate());
    let open = async |right, ahead: Option<&Ahead>| {
        let session = Session::open_for(channel.clone(), Arc::new(scene.tokens()), right, ahead).await;
        Arc::new(session.unwrap())
    };
    let name = image("app:v1");
    // However slow the machine is, this link is short.
    let options = PushOptions { near: Duration::MAX, ..PushOptions::default() };
    let ahead = Ahead::of(&artifact, &name, options).over_a_long_way();
    let session = open(Right::Push, Some(&ahead)).await;
    assert!(session.hello().capabilities.is_empty() && session.hello().limits.places == 0);
    push(session, &artifact, &name, options, Progress::none()).await.unwrap();
    scene.assert_holds(&layers, "app", "v1");

    let options = PullOptions { near: Duration::MAX, ..PullOptions::default() };
    let session = open(Right::Pull, None).await;
    let pulled = pull::pull_into_file_over(&session, "app:v1", options).await.unwrap();
    assert!(pulled == layers.blobs());

    let session = open(Right::Admin, None).await;
    assert!(!session.can_probe());
    let client = registry::Client::new(session);
    let (repository, tag) = ("app".parse().unwrap(), "v1".parse::<Tag>().unwrap());
    assert_eq!(client.tags(&repository).await.unwrap(), std::slice::from_ref(&tag));
    client.delete_tag_safely(&repository, &tag).await.unwrap();
    assert!(scene.registry.tags("app").is_empty());
    commits.get()
}

fn assert_old(commits: &[Value]) {
    // The configuration beside the layers; one that takes long is asked for again.
    assert!(commits.len() >= layers().blobs().len(), "{commits:?}");
    assert!(commits.iter().all(|commit| commit.get("early").is_none()), "{commits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_surrogate_is_asked_for_nothing_that_it_does_not_know() {
    let scene = Scene::new().await;
    assert_old(&use_it(&scene, Proxy::new(scene.api_server(), "ns", POD, 10250)).await);
    let seen = scene.api_server.seen();
    assert!(seen.iter().all(|seen| !seen.clear), "{seen:?}");
    for later in [wire::BLOBS, wire::TICKETS, wire::PROBE] {
        assert!(seen.iter().all(|seen| !seen.path.starts_with(later)), "{later}: {seen:?}");
    }
    let opened = |seen: &&reposure_testing::api_server::Seen| {
        seen.method == Method::POST && seen.path.trim_end_matches('?') == wire::UPLOADS
    };
    assert!(seen.iter().filter(opened).count() >= layers().blobs().len(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_surrogate_behind_a_forwarded_port_has_tls_of_its_own() {
    let scene = Scene::new().await;
    let channel = PortForward::new(scene.api_server(), "ns", POD, 10250).unwrap();
    assert_old(&use_it(&scene, channel).await);
}
