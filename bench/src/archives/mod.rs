//! Docker-archives and OCI layouts on this machine to a registry on loopback: what compressing them takes, and what the cache spares.
//!
//! Each first push finds a registry with nothing in it, at a port of its own, and a client that remembers nothing; so nothing is
//! mounted or reused that should be pushed.

mod source;
mod table;
mod tool;

use std::path::{Path, PathBuf};

use crate::scene::Scene;
use anyhow::{Context as _, Result};
use clap::Args;
use source::Sources;
use table::Table;
use tool::{Job, Tool};

/// Compare how tools push archives to a registry on this machine, without a cluster
#[derive(Debug, Args)]
pub(crate) struct ArchivesArgs {
    /// How many runs of each tool
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The size of the docker-archive, in MiB
    #[arg(long, default_value_t = 1024)]
    size: u64,
    /// A folder of real files that the archive is made of, instead of the Rust toolchain's
    #[arg(long)]
    folder: Option<PathBuf>,
    /// What is compared
    #[arg(long, value_delimiter = ',', default_values_t = Part::ALL)]
    parts: Vec<Part>,
    /// Push one layer of so many GiB too, once, to see how much memory it takes
    #[arg(long)]
    large: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Gzip,
    Zstd,
    Layout,
}

impl Part {
    const ALL: [Self; 3] = [Self::Gzip, Self::Zstd, Self::Layout];

    const fn tools(self) -> &'static [Tool] {
        match self {
            Self::Gzip => &[Tool::Reposure, Tool::Crane, Tool::Skopeo],
            Self::Zstd => &[Tool::ReposureZstd, Tool::SkopeoZstd],
            Self::Layout => &[Tool::DirectLayout, Tool::ReposureLayout, Tool::Oras],
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Layout => "layout",
        })
    }
}

pub(crate) fn run(args: &ArchivesArgs) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let folder = root.join("build/bench");
    let sources = Sources::make(&folder, args.folder.as_deref(), args.size << 20)?;
    let mut table = Table::default();
    for run in 0..args.runs {
        for part in &args.parts {
            let mut tools = part.tools().to_vec();
            // Nobody is always the first.
            let first = run % tools.len();
            tools.rotate_left(first);
            for tool in tools {
                eprintln!("run {} of {}: {}", run + 1, args.runs, tool.name());
                compare(root, &folder, &sources, tool, &mut table)?;
            }
        }
    }
    table.print(&sources);
    args.large.map_or(Ok(()), |gibibytes| large(root, &folder, gibibytes))
}

/// Pushes to an empty registry, the same again, and the same with another top layer.
fn compare(root: &Path, folder: &Path, sources: &Sources, tool: Tool, table: &mut Table) -> Result<()> {
    let scene = Scene::start(root, folder)?;
    let first = tool.push(&scene, tool.source(sources))?;
    table.add(tool, Job::First, &first, scene.stored()?);
    let second = tool.push(&scene, tool.source(sources))?;
    table.add(tool, Job::Second, &second, scene.stored()?);
    if tool.is_of_archive() {
        let changed = tool.push(&scene, &sources.changed)?;
        table.add(tool, Job::Changed, &changed, scene.stored()?);
    }
    table.note_surrogate(scene.surrogate_memory());
    Ok(())
}

/// Pushes one layer, which is larger than the machine's memory should have to be.
fn large(root: &Path, folder: &Path, gibibytes: u64) -> Result<()> {
    let archive = source::large(folder, gibibytes << 30)?;
    let scene = Scene::start(root, folder)?;
    let pushed = Tool::Reposure.push(&scene, &archive)?;
    std::fs::remove_file(&archive)?;
    println!(
        "\none layer of {gibibytes} GiB: {:.0} s, client {} MiB, surrogate {} MiB",
        pushed.time.as_secs_f64(),
        pushed.memory >> 10,
        scene.surrogate_memory() >> 10
    );
    Ok(())
}
