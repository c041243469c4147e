//! Reposure against its peers, as ratios of one run: images to and from a registry on the cluster of `make cluster`, the same
//! over a long way, archives to a registry on this machine, the lists of one, and what the gate before it costs; and an operator
//! with hundreds of registries.
//!
//! Runs are interleaved, so that a slow minute of the machine hits all of them; medians are compared, never single times.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

mod archives;
mod gate;
mod lists;
mod memory;
mod peer;
mod race;
mod scale;
mod scene;
mod table;
mod task;
mod wan;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use reposure_e2e::Stage;

use peer::Peer;
use task::Scheme;

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
    Gate(gate::GateArgs),
    Lists(lists::ListsArgs),
    Operator(scale::ScaleArgs),
    Wan(wan::WanArgs),
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
    /// With a registry that has TLS
    #[arg(long)]
    https: bool,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Cluster(args) => cluster(&args),
        Command::Archives(args) => archives::run(&args),
        Command::Gate(args) => gate::run(&args),
        Command::Lists(args) => lists::run(&args),
        Command::Operator(args) => scale::run(&args),
        Command::Wan(args) => wan::run(&args),
    }
}

fn cluster(args: &ClusterArgs) -> Result<()> {
    let (stage, scheme) = if args.https {
        (secured_stage()?, Scheme::Https)
    } else {
        (Stage::with_registry("bench")?, Scheme::Http)
    };
    task::start_copy_pod(&stage)?;
    let task = task::Task::prepare(&stage, scheme, "lan", &args.layers)?;
    race::there_and_back(&task, &Peer::WITH_CHANNELS, args.runs)?;
    task.print_connections()?;
    task.print_memory()
}

/// Makes a stage with a registry that has TLS, whose certificate is of our own authority.
fn secured_stage() -> Result<Stage> {
    let stage = Stage::new("bench-https")?;
    stage.install_operator()?;
    let install = ["simple", "install", "--authentication", "--ephemeral", "--wait", "--timeout=2m"];
    stage.reposure(&install).args(stage.environment.gate_args()).ok()?;
    let create = ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];
    stage.reposure(&create).ok()?;
    Ok(stage)
}
