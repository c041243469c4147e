//! How many round trips a push waits for, one after the other: by how much longer it takes where each of them takes longer.

use std::time::Duration;

use anyhow::Result;
use reposure_testing::relay::{Link, Relay};

use crate::{
    peer::Peer,
    table::{median, seconds},
    task::Task,
};

/// How much longer: so much that the noise of a machine is little beside it.
const MORE: Duration = Duration::from_millis(200);

/// Prints it, of the first push of an image and of the same again.
pub(super) fn print(task: &Task<'_>, relay: &Relay, link: &Link, runs: usize) -> Result<()> {
    let mut took = Vec::new();
    for more in [Duration::ZERO, MORE] {
        relay.set(Link { round_trip: link.round_trip + more, ..link.clone() });
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for run in 0..runs {
            // No image of the races, or of the other link.
            let run = usize::MAX - run - usize::from(!more.is_zero()) * runs;
            task.renew(run)?;
            first.push(task.push(Peer::Reposure, run)?);
            again.push(task.push_again(Peer::Reposure, run)?);
        }
        took.push([first, again].map(|times| median(&seconds(&times))));
    }
    relay.set(link.clone());
    let trips = |what: usize| (took[1][what] - took[0][what]) / MORE.as_secs_f64();
    println!("\nround trips of a first push: {:.1}, of a no-op push: {:.1}", trips(0), trips(1));
    Ok(())
}
