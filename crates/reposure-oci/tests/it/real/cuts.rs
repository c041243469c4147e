//! A push whose connections are cut once.

use std::time::Duration;

use reposure_oci::transfer::{Event, Progress, PushOptions, push};
use reposure_testing::{
    RandomImage, Relay,
    relay::{Link, Outage},
};

use super::{
    client_at,
    process::{Registry, Version},
};
use crate::forms;

/// The one layer, in bytes: more than a chunk.
const SIZE: usize = 40 << 20;
/// How many bytes come before the cut.
const CUT: u64 = 30 << 20;

/// Version 3 is sent what it lacks; version 2.8 has forgotten the upload, and is sent all of it.
pub(super) async fn run(version: Version, registry: &Registry) {
    let outage = Outage { after: CUT, lasting: Duration::ZERO };
    // So slow that little is on its way at the cut.
    let link = Link { outage: Some(outage), bandwidth: Some(100 << 20), ..Link::default() };
    let relay = Relay::start(registry.host().parse().unwrap(), link).unwrap();
    let client = client_at(&relay.address().to_string(), registry, |_| {});
    let artifact = forms::artifact(&RandomImage::of_sizes(1, &[SIZE]).unwrap()).await;
    let (progress, mut events) = Progress::channel();
    let name = "cut:v1".parse().unwrap();
    push(&client, &artifact, &name, &PushOptions::default(), progress).await.unwrap();
    let events = std::iter::from_fn(|| events.try_recv().ok());
    let restarts = events.filter(|event| matches!(event, Event::Restarted { .. })).count();
    assert_eq!(restarts, usize::from(version == Version::Two));
    let counts = relay.counts();
    assert!(counts.cuts > 0);
    let is_resumed = counts.up < SIZE as u64 + CUT / 2;
    assert_eq!(is_resumed, version == Version::Three, "{counts:?}");
}
