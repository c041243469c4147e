//! How an operator bears hundreds of registries, and whether that is what it is promised to bear.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use reposure_e2e::{Scale, Stage};

/// Measure an operator with many registries, on faked nodes of the local cluster, and fail if it takes more than it is promised to
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// How many registries there are
    #[arg(long, default_value_t = 500)]
    registries: usize,
    /// For how long the operator is watched when all is quiet, in seconds
    #[arg(long, default_value_t = 120)]
    quiet: u64,
}

pub(crate) fn run(args: &ScaleArgs) -> Result<()> {
    let stage = Stage::new("scale")?;
    let scale = Scale::measure(&stage, args.registries, Duration::from_secs(args.quiet))?;
    println!("{scale}");
    scale.check()
}
