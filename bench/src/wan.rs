//! The same tools over a long way: behind a relay with a round trip and a bandwidth as between continents.

mod cut;
mod trips;

use std::{mem, time::Duration};

use anyhow::Result;
use clap::Args;
use reposure_e2e::{Detour, Stage};
use reposure_testing::relay::{Link, Relay};

use crate::{
    peer::Peer,
    race, task,
    task::{Scheme, Task},
};

/// Layers of 1 MiB, for what round trips cost.
const MANY_LAYERS: [usize; 20] = [1; 20];

/// Compare how tools push and pull behind a relay, which delays, throttles and cuts
#[derive(Debug, Args)]
pub(crate) struct WanArgs {
    /// How many runs of each tool
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many runs of pushes of many layers, which are short
    #[arg(long, default_value_t = 5)]
    short_runs: usize,
    /// The round trip, in milliseconds
    #[arg(long, default_value_t = 80)]
    round_trip: u64,
    /// The bandwidth of each connection and direction, in bytes per second
    #[arg(long, default_value_t = 50_000_000)]
    bandwidth: u64,
    /// The sizes of the image's layers, in MiB
    #[arg(long, value_delimiter = ',', default_value = "60,60,60,60,16")]
    layers: Vec<usize>,
}

pub(crate) fn run(args: &WanArgs) -> Result<()> {
    let mut stage = Stage::with_registry("wan")?;
    task::start_copy_pod(&stage)?;
    let round_trip = Duration::from_millis(args.round_trip);
    let link = Link { round_trip, bandwidth: Some(args.bandwidth), ..Link::default() };
    let detour = Detour::start(&stage, link.clone())?;
    let direct = mem::replace(&mut stage.environment.kubeconfig, detour.kubeconfig.clone());
    let compared = compare(&stage, &detour.relay, &link, args);
    // The stage is cleared on a link that is whole.
    stage.environment.kubeconfig = direct;
    compared
}

fn compare(stage: &Stage, relay: &Relay, link: &Link, args: &WanArgs) -> Result<()> {
    println!("round trip {} ms, {} bytes/s per connection", args.round_trip, args.bandwidth);
    let whole = args.layers.iter().sum();
    for (name, layers) in [("layers", args.layers.as_slice()), ("single", &[whole])] {
        race::there_and_back(&Task::prepare(stage, Scheme::Http, name, layers)?, &Peer::ALL, args.runs)?;
    }
    let many = Task::prepare(stage, Scheme::Http, "many", &MANY_LAYERS)?;
    race::first_and_again(&many, args.short_runs)?;
    trips::print(&many, relay, link, args.runs)?;
    let task = Task::prepare(stage, Scheme::Http, "cut", &args.layers)?;
    cut::run(&cut::Scene { task, stage, relay, link: link.clone() }, args.runs)
}
