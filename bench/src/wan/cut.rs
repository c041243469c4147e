//! One cut in the middle of a push: what was sent again, and how soon it was done.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reposure_e2e::{Forward, Stage};
use reposure_testing::{
    Relay,
    relay::{Link, Outage},
};

use crate::{
    peer::Peer,
    race,
    table::median,
    task::{PORT, REGISTRY, Task},
};

/// When the link is cut.
const AFTER: u64 = 100 << 20;
/// For how long it is away.
const AWAY: Duration = Duration::from_secs(2);

/// What a cut is made in.
pub(crate) struct Scene<'a> {
    pub(crate) task: Task<'a>,
    pub(crate) stage: &'a Stage,
    pub(crate) relay: &'a Relay,
    /// The link when it is whole.
    pub(crate) link: Link,
}

/// What became of a push.
struct Outcome {
    /// Bytes that the relay took from clients.
    sent: u64,
    done: Instant,
}

/// Cuts a push of each tool, and prints what became of them.
pub(crate) fn run(scene: &Scene<'_>, runs: usize) -> Result<()> {
    let (after, away) = (AFTER >> 20, AWAY.as_secs());
    // What goes up beside the bytes of the image is not sent again.
    let whole = push(scene, Peer::Reposure, runs, None)?.context("a push fails without a cut")?.sent;
    println!("\n| one cut after {after} MiB, {away} s away | sent again | done after its return |");
    println!("|---|---|---|");
    for peer in Peer::ALL {
        // Who fails fails each time.
        let runs = if peer == Peer::Reposure { runs } else { 1 };
        let (mut again, mut seconds) = (Vec::new(), Vec::new());
        for run in 0..runs {
            race::say(run, runs, peer);
            let outage = Outage { after: AFTER, lasting: AWAY };
            if let Some(outcome) = push(scene, peer, run, Some(outage))? {
                let returned = scene.relay.returned().context("the link was not cut")?;
                again.push(mebibytes(outcome.sent) - mebibytes(whole));
                seconds.push((outcome.done - returned).as_secs_f64());
            }
        }
        print(peer, again, seconds);
    }
    Ok(())
}

/// Pushes through an outage; none if that fails.
fn push(scene: &Scene<'_>, peer: Peer, run: usize, outage: Option<Outage>) -> Result<Option<Outcome>> {
    scene.task.renew(run)?;
    scene.relay.set(scene.link.clone());
    let forward = Forward::start(scene.stage, REGISTRY, PORT)?;
    let push = scene.task.pushing(peer, run, &forward.host())?;
    let before = scene.relay.counts().up;
    scene.relay.set(Link { outage, ..scene.link.clone() });
    let pushed = push.output()?;
    let outcome = Outcome { done: Instant::now(), sent: scene.relay.counts().up - before };
    Ok((pushed.code == Some(0)).then_some(outcome))
}

#[allow(clippy::cast_precision_loss, reason = "megabytes for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn print(peer: Peer, mut again: Vec<f64>, mut seconds: Vec<f64>) {
    if again.is_empty() {
        return println!("| {} | fails | |", peer.name());
    }
    again.sort_by(f64::total_cmp);
    seconds.sort_by(f64::total_cmp);
    let (name, times, again, seconds) = (peer.name(), again.len(), median(&again), median(&seconds));
    println!("| {name} ({times} times) | {again:.0} MiB | {seconds:.1} s |");
}
