//! The tools, and how each of them pushes.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::Run;

use super::source::Sources;
use crate::{memory, scene::Scene};

/// A tool with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    Reposure,
    Crane,
    Skopeo,
    ReposureZstd,
    SkopeoZstd,
    DirectLayout,
    ReposureLayout,
    Oras,
}

/// What is pushed to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// To an empty registry.
    First,
    /// The same again.
    Second,
    /// The same with another top layer.
    Changed,
}

/// What a push took.
pub(crate) struct Pushed {
    pub(crate) time: Duration,
    /// In KiB.
    pub(crate) memory: u64,
}

impl Tool {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reposure => "reposure",
            Self::Crane => "crane",
            Self::Skopeo => "skopeo",
            Self::ReposureZstd => "reposure, zstd",
            Self::SkopeoZstd => "skopeo, zstd",
            Self::DirectLayout => "reposure-oci alone, OCI layout",
            Self::ReposureLayout => "reposure, OCI layout",
            Self::Oras => "oras, OCI layout",
        }
    }

    /// The one of ours that it is compared with.
    pub(crate) const fn ours(self) -> Self {
        match self {
            Self::Reposure | Self::Crane | Self::Skopeo => Self::Reposure,
            Self::ReposureZstd | Self::SkopeoZstd => Self::ReposureZstd,
            Self::DirectLayout | Self::ReposureLayout | Self::Oras => Self::DirectLayout,
        }
    }

    pub(crate) const fn is_of_archive(self) -> bool {
        !matches!(self, Self::DirectLayout | Self::ReposureLayout | Self::Oras)
    }

    pub(crate) fn source(self, sources: &Sources) -> &Path {
        if self.is_of_archive() { &sources.archive } else { &sources.layout }
    }

    /// Pushes a source to one and the same name.
    pub(crate) fn push(self, scene: &Scene, source: &Path) -> Result<Pushed> {
        let path = source.to_str().context("a path is not UTF-8")?;
        let remote = format!("{}/bench/app:v1", scene.registry);
        let skopeo = |options: &[&str]| {
            let (from, to) = (format!("docker-archive:{path}"), format!("docker://{remote}"));
            let plain = ["copy", "-q", "--insecure-policy", "--dest-tls-verify=false"];
            scene.tool("skopeo").args(plain).args(options).args([from, to])
        };
        measure(match self {
            Self::Reposure | Self::ReposureLayout => reposure(scene, path, &[]),
            Self::ReposureZstd => reposure(scene, path, &["--compression=zstd"]),
            Self::DirectLayout => {
                let url = format!("http://{}", scene.registry);
                Run::new(push_archive()?).args([path, &url, "bench/app:v1"])
            }
            Self::Crane => scene.tool("crane").args(["push", "--insecure", path, &remote]),
            Self::Skopeo => skopeo(&[]),
            Self::SkopeoZstd => skopeo(&["--format=oci", "--dest-compress-format=zstd"]),
            Self::Oras => {
                let from = format!("{path}:v1");
                scene.tool("oras").args(["cp", "--from-oci-layout", &from, "--to-plain-http", &remote])
            }
        })
    }
}

/// Finds the example of the library that pushes without a surrogate, which `scripts/bench.sh` builds beside this program.
fn push_archive() -> Result<PathBuf> {
    let folder = std::env::current_exe()?.parent().context("no folder")?.join("examples");
    Ok(folder.join("push_archive"))
}

fn reposure(scene: &Scene, path: &str, options: &[&str]) -> Run {
    Run::new(scene.root.join("target/release/reposure"))
        .env("REPOSURE_SURROGATE", &scene.surrogate)
        .env("XDG_CACHE_HOME", scene.folder.path())
        .args(["image", "push", "bench", "bench/app:v1", path])
        .args(options)
}

fn measure(run: Run) -> Result<Pushed> {
    // What the run before has left to be written would be written at the expense of this one.
    rustix::fs::sync();
    let start = Instant::now();
    let (done, memory) = memory::watch(run.spawn()?)?;
    let time = start.elapsed();
    ensure!(done, "a push failed");
    Ok(Pushed { time, memory })
}
