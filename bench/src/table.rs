//! Medians, and their ratios to the best of the others.

use std::{collections::BTreeMap, time::Duration};

use crate::peer::Peer;

/// What a table shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// MiB/s, of so many MiB.
    Rate(f64),
    /// The seconds that a whole command takes.
    Seconds,
}

/// What was measured.
pub(crate) struct Table {
    unit: Unit,
    times: BTreeMap<(&'static str, &'static str), Vec<Duration>>,
}

impl Table {
    pub(crate) const fn new(unit: Unit) -> Self {
        Self { unit, times: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, peer: Peer, what: &'static str, time: Duration) {
        self.times.entry((what, peer.name())).or_default().push(time);
    }

    /// Prints a table in Markdown: rates or seconds, and how many times faster ours is.
    pub(crate) fn print(&self) {
        match self.unit {
            Unit::Rate(mebibytes) => {
                println!("\n| {mebibytes:.0} MiB | tool | median MiB/s | range | reposure is |");
            }
            Unit::Seconds => println!("\n| | tool | median s | range | reposure is |"),
        }
        println!("|---|---|---|---|---|");
        for ((what, name), times) in &self.times {
            let ours = self.times.get(&(*what, Peer::Reposure.name()));
            let ratio = ours.map_or(0.0, |ours| median(&seconds(times)) / median(&seconds(ours)));
            let values = self.values(times);
            let (low, high) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
            let (digits, middle) = (self.digits(), median(&values));
            println!(
                "| {what} | {name} | {middle:.digits$} | {low:.digits$}-{high:.digits$} | {ratio:.2}x |"
            );
        }
    }

    const fn digits(&self) -> usize {
        match self.unit {
            Unit::Rate(_) => 0,
            Unit::Seconds => 2,
        }
    }

    /// What is shown of times, in order.
    fn values(&self, times: &[Duration]) -> Vec<f64> {
        let mut values = seconds(times);
        if let Unit::Rate(mebibytes) = self.unit {
            for value in &mut values {
                *value = mebibytes / *value;
            }
            values.reverse();
        }
        values
    }
}

/// Returns times in seconds, in order.
pub(crate) fn seconds(times: &[Duration]) -> Vec<f64> {
    let mut seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

pub(crate) fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
