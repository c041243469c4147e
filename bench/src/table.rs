//! Medians, and their ratios to the best of the others.

use std::{collections::BTreeMap, time::Duration};

use crate::peer::Peer;

/// What was measured.
pub(crate) struct Table {
    mebibytes: f64,
    times: BTreeMap<(&'static str, &'static str), Vec<Duration>>,
}

impl Table {
    pub(crate) const fn new(mebibytes: f64) -> Self {
        Self { mebibytes, times: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, peer: Peer, what: &'static str, time: Duration) {
        self.times.entry((what, peer.name())).or_default().push(time);
    }

    /// Prints a table in Markdown: rates, and how many times faster ours is.
    pub(crate) fn print(&self) {
        println!("| {:.0} MiB | tool | median MiB/s | range | reposure is |", self.mebibytes);
        println!("|---|---|---|---|---|");
        for ((what, name), times) in &self.times {
            let rates = self.rates(times);
            let ours =
                self.times.get(&(*what, Peer::Reposure.name())).map(|times| median(&self.rates(times)));
            let ratio = ours.map_or(0.0, |ours| ours / median(&rates));
            let (low, high) = (rates.first().copied().unwrap_or(0.0), rates.last().copied().unwrap_or(0.0));
            println!("| {what} | {name} | {:.0} | {low:.0}-{high:.0} | {ratio:.2}x |", median(&rates));
        }
    }

    fn rates(&self, times: &[Duration]) -> Vec<f64> {
        let mut rates: Vec<f64> = times.iter().map(|time| self.mebibytes / time.as_secs_f64()).collect();
        rates.sort_by(f64::total_cmp);
        rates
    }
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
