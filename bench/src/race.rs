//! All tools on the same task, in turns.

use anyhow::Result;

use crate::{
    peer::Peer,
    table::{Table, Unit},
    task::Task,
};

/// Compares how they push and pull, and prints the table.
pub(crate) fn there_and_back(task: &Task<'_>, peers: &[Peer], runs: usize) -> Result<()> {
    let mut table = Table::new(Unit::Rate(task.mebibytes()));
    for run in 0..runs {
        for (turn, peer) in Peer::in_turn(peers, run).enumerate() {
            say(run, runs, peer);
            // A surrogate knows which blobs went through it over another channel, and would mount them.
            task.renew(run * peers.len() + turn)?;
            table.add(peer, "push", task.push(peer, run)?);
            table.add(peer, "pull", task.pull(peer, run)?);
        }
    }
    table.print();
    Ok(())
}

/// Compares how they push many layers, and then the same again, and prints the table.
pub(crate) fn first_and_again(task: &Task<'_>, runs: usize) -> Result<()> {
    let mut table = Table::new(Unit::Seconds);
    for run in 0..runs {
        task.renew(run)?;
        for peer in Peer::in_turn(&Peer::PUSHING, run) {
            say(run, runs, peer);
            table.add(peer, "first push", task.push(peer, run)?);
            table.add(peer, "no-op push", task.push_again(peer, run)?);
        }
    }
    table.print();
    Ok(())
}

/// Says how far the race is.
pub(crate) fn say(run: usize, runs: usize, peer: Peer) {
    eprintln!("run {} of {runs}: {}", run + 1, peer.name());
}
