//! The time of processors that processes have taken.

use std::fs;

use anyhow::{Context as _, Result};

/// How many ticks `/proc` counts in a second, the same on every Linux.
const TICKS: f64 = 100.0;

/// Returns the seconds of a processor that a process has taken.
///
/// # Errors
/// When there is no such process.
pub fn seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before may hold anything; utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(')').context("no stat")?.1.split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}
