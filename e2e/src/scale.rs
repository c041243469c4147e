//! How an operator bears hundreds of registries: on nodes that kwok fakes, with a server that answers for all surrogates. On the local cluster
//! alone, and while nothing else runs there.

mod scene;

use std::{
    fmt::{self, Write as _},
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use self::scene::Scene;
use crate::{Stage, processor};

/// By when all surrogates are to be ready.
const READY: Duration = Duration::from_secs(180);
/// What share of a core an operator may take at most while nothing happens, in percent.
const QUIET_SHARE: f64 = 5.0;
/// Within what time one that was changed is to be reconciled.
const CHANGED: Duration = Duration::from_secs(2);
/// How much memory an operator may take at most, in MiB: what its container is given.
const MEMORY: f64 = 128.0;
/// What share of a core only an operator takes that never comes to rest, in percent, on a machine that is busy with other things too.
const RESTLESS_SHARE: f64 = 25.0;
/// Until what was stirred up is still.
const SETTLE: Duration = Duration::from_secs(20);
/// By when everything must have happened.
const PATIENCE: Duration = Duration::from_secs(300);

/// What an operator with many registries took.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// How many registries there were.
    pub registries: usize,
    /// After what time all `StatefulSets` were made.
    pub made: Duration,
    /// After what time all surrogates were ready.
    pub ready: Duration,
    /// What share of a core it took while nothing happened, in percent.
    pub quiet_share: f64,
    /// After what time a registry that was changed was reconciled.
    pub changed: Duration,
    /// The most memory that it had, in MiB.
    pub memory: f64,
}

impl Scale {
    /// Makes this many registries on a stage, waits until their surrogates are ready, and watches the operator while nothing happens, for the
    /// time `quiet`.
    ///
    /// # Errors
    /// When kwok or the operator is missing, or something does not happen at all.
    pub fn measure(stage: &Stage, registries: usize, quiet: Duration) -> Result<Self> {
        let scene = Scene::set(stage)?;
        fs::write(stage.path("registries.json"), objects(stage, registries))?;
        let start = Instant::now();
        stage.kubectl(&["create", "-f", "registries.json"]).ok()?;
        wait_until_made(stage, registries)?;
        let made = start.elapsed();
        wait_until_ready(stage, registries)?;
        let ready = start.elapsed();
        thread::sleep(SETTLE);
        let before = processor::seconds(scene.operator())?;
        thread::sleep(quiet);
        let used = processor::seconds(scene.operator())? - before;
        let quiet_share = 100.0 * used / quiet.as_secs_f64();
        let changed = change(stage)?;
        let memory = scene.peak_memory()?;
        Scene::clear(stage)?;
        Ok(Self { registries, made, ready, quiet_share, changed, memory })
    }

    /// Compares with what an operator with 500 registries may take wherever it runs: its memory, and that it comes to rest.
    ///
    /// # Errors
    /// When it took more, with all that it took.
    pub fn check_anywhere(&self) -> Result<()> {
        ensure!(self.memory < MEMORY, "it took {MEMORY} MiB of memory or more:\n{self}");
        ensure!(self.quiet_share < RESTLESS_SHARE, "it took {RESTLESS_SHARE} % of a core or more:\n{self}");
        Ok(())
    }

    /// Compares with what an operator is promised to take with 500 registries, on a machine that does nothing else.
    ///
    /// # Errors
    /// When it took more, with all that it took.
    pub fn check(&self) -> Result<()> {
        ensure!(self.ready <= READY, "not all surrogates were ready after {} s:\n{self}", READY.as_secs());
        ensure!(self.quiet_share < QUIET_SHARE, "it took {QUIET_SHARE} % of a core or more:\n{self}");
        ensure!(self.changed <= CHANGED, "it took more than {} s for a change:\n{self}", CHANGED.as_secs());
        ensure!(self.memory < MEMORY, "it took {MEMORY} MiB of memory or more:\n{self}");
        Ok(())
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registries, made, ready, quiet_share, changed, memory } = self;
        let [made, ready, changed] = [made, ready, changed].map(Duration::as_secs_f64);
        writeln!(formatter, "{registries} registries have their StatefulSets after {made:.1} s")?;
        writeln!(formatter, "all surrogates are ready after {ready:.1} s")?;
        writeln!(formatter, "when quiet the operator takes {quiet_share:.2} % of a core")?;
        writeln!(formatter, "a changed registry is reconciled after {changed:.2} s")?;
        write!(formatter, "the operator has taken {memory:.1} MiB of memory at most")
    }
}

fn objects(stage: &Stage, count: usize) -> String {
    let mut items = String::new();
    for number in 0..count {
        // Writing to a string does not fail.
        let _ = write!(
            items,
            r#"{}{{"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
                "metadata": {{"name": "r{number}", "namespace": "{}"}},
                "spec": {{"type": "oci", "direct": {{"host": "registry.example:5000"}}, "scheme": "http"}}}}"#,
            if number > 0 { "," } else { "" },
            stage.namespace
        );
    }
    format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{items}]}}"#)
}

/// Waits until the operator has done its part. What follows is the StatefulSet controller's, which makes 20 requests a second unless
/// the cluster says otherwise, and some five of them for each.
fn wait_until_made(stage: &Stage, count: usize) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let made = stage.kubectl(&["get", "statefulsets", "-o", "name"]).ok()?.text().lines().count();
        if made == count {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
    }
    bail!("not all StatefulSets are made after {} s", PATIENCE.as_secs())
}

fn wait_until_ready(stage: &Stage, count: usize) -> Result<()> {
    let path = r#"jsonpath={.items[*].status.conditions[?(@.type=="SurrogateReady")].status}"#;
    let end = Instant::now() + PATIENCE;
    let mut ready = 0;
    while Instant::now() < end {
        let states = stage.kubectl(&["get", "registries", "-o", path]).ok()?.text();
        ready = states.split_whitespace().filter(|state| *state == "True").count();
        if ready == count {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1));
    }
    bail!("{ready} of {count} surrogates are ready after {} s", PATIENCE.as_secs())
}

/// Changes one registry, and returns after which time its status is of the change.
fn change(stage: &Stage) -> Result<Duration> {
    let other_port = r#"{"spec": {"surrogatePort": 10255}}"#;
    let start = Instant::now();
    stage.kubectl(&["patch", "registry", "r7", "--type=merge", "-p", other_port]).ok()?;
    while start.elapsed() < PATIENCE {
        let path = "jsonpath={.metadata.generation} {.status.observedGeneration}";
        let seen = stage.kubectl(&["get", "registry", "r7", "-o", path]).ok()?.text();
        if seen == "2 2" {
            return Ok(start.elapsed());
        }
    }
    bail!("the change is not reconciled")
}
