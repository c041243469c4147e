//! Reposure against its peers, as ratios of one run: images to and from a registry on the cluster of `make cluster`, archives
//! to a registry on this machine, and the lists of one.
//!
//! Runs are interleaved, so that a slow minute of the machine hits all of them; medians are compared, never single times.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

mod archives;
mod lists;
mod memory;
mod peer;
mod scene;
mod table;
mod task;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use reposure_e2e::Stage;

/// Compare Reposure with other tools
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Cluster(ClusterArgs),
    Archives(archives::ArchivesArgs),
    Lists(lists::ListsArgs),
}

/// Compare how tools push to the local cluster and pull from it
#[derive(Debug, Args)]
struct ClusterArgs {
    /// How many runs of each tool
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The sizes of the image's layers, in MiB
    #[arg(long, value_delimiter = ',', default_value = "60,60,60,60,16")]
    layers: Vec<usize>,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Cluster(args) => cluster(&args),
        Command::Archives(args) => archives::run(&args),
        Command::Lists(args) => lists::run(&args),
    }
}

fn cluster(args: &ClusterArgs) -> Result<()> {
    let stage = Stage::with_registry("bench")?;
    let task = task::Task::prepare(&stage, &args.layers)?;
    let mut table = table::Table::new(task.mebibytes());
    for run in 0..args.runs {
        task.renew(run)?;
        let mut peers = peer::Peer::ALL;
        // Nobody is always the first.
        let first = run % peers.len();
        peers.rotate_left(first);
        for peer in peers {
            eprintln!("run {} of {}: {}", run + 1, args.runs, peer.name());
            table.add(peer, "push", task.push(peer, run)?);
            if let Some(pulled) = task.pull(peer, run)? {
                table.add(peer, "pull", pulled);
            }
        }
    }
    table.print();
    task.print_connections()?;
    task.print_memory()
}
