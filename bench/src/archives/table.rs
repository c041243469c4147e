//! Medians, what is stored and held, and ratios.

use std::{collections::BTreeMap, time::Duration};

use super::{
    source::Sources,
    tool::{Job, Pushed, Tool},
};

#[derive(Default)]
struct Row {
    times: Vec<Duration>,
    stored: u64,
    memory: u64,
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: BTreeMap<(Job, Tool), Row>,
    surrogate: u64,
}

impl Table {
    pub(crate) fn add(&mut self, tool: Tool, job: Job, pushed: &Pushed, stored: u64) {
        let row = self.rows.entry((job, tool)).or_default();
        row.times.push(pushed.time);
        row.stored = stored;
        row.memory = row.memory.max(pushed.memory);
    }

    pub(crate) fn note_surrogate(&mut self, memory: u64) {
        self.surrogate = self.surrogate.max(memory);
    }

    /// Prints a table in Markdown: times, how many times faster ours is, and how many times as large what it stores.
    pub(crate) fn print(&self, sources: &Sources) {
        println!("docker-archive: {}\nOCI layout: {}\n", sources.archive_text, sources.layout_text);
        println!(
            "| push | tool | median s | range | reposure is | stored MiB | of it reposure | memory MiB |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        for ((job, tool), row) in &self.rows {
            let times = sorted(&row.times);
            let Some(ours) = self.rows.get(&(*job, tool.ours())) else { continue };
            let job = match job {
                Job::First => "first",
                Job::Second => "the same again",
                Job::Changed => "another top layer",
            };
            println!(
                "| {job} | {} | {:.2} | {:.2}-{:.2} | {:.2}x | {} | {:.3} | {} |",
                tool.name(),
                median(&times),
                times.first().copied().unwrap_or_default(),
                times.last().copied().unwrap_or_default(),
                median(&times) / median(&sorted(&ours.times)),
                row.stored >> 20,
                ratio(ours.stored, row.stored),
                row.memory >> 10
            );
        }
        println!("\nmemory high-water of the surrogate: {} MiB", self.surrogate >> 10);
    }
}

#[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(ours: u64, theirs: u64) -> f64 {
    ours as f64 / theirs as f64
}

fn sorted(times: &[Duration]) -> Vec<f64> {
    let mut times: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
