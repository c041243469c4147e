//! The memory high-water of processes, as the kernel counts it.

use std::{
    fs,
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How often is looked: a high-water only grows, so the last look counts.
const POLL: Duration = Duration::from_millis(10);

/// Reads `VmHWM` of a process, in KiB.
pub(crate) fn high_water(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Waits for a process and returns whether it succeeded, and its high-water in KiB.
pub(crate) fn watch(mut child: Child) -> std::io::Result<(bool, u64)> {
    let ended = Arc::new(AtomicBool::new(false));
    let (pid, seen) = (child.id(), ended.clone());
    let watcher = thread::spawn(move || {
        let mut last = 0;
        while !seen.load(Ordering::Relaxed) {
            last = high_water(pid).unwrap_or(last);
            thread::sleep(POLL);
        }
        last
    });
    let status = child.wait();
    ended.store(true, Ordering::Relaxed);
    let last = watcher.join().unwrap_or_default();
    Ok((status?.success(), last))
}

/// Finds the processes of this machine whose program has this name: those in the local cluster's pods are among them.
pub(crate) fn processes(name: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).next().is_some_and(|program| program.ends_with(name.as_bytes()))
        })
        .collect()
}
