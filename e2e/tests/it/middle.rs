//! The middle of a push or a pull, where it is sure to be caught, and a look at what came of it.

use std::{collections::HashMap, fs::File, io::Read as _, time::Duration};

use anyhow::{Result, ensure};
use reposure_e2e::{Detour, Stage};
use reposure_testing::{
    RandomImage, digest_of,
    relay::{Counts, Link},
};

pub(crate) const MEBIBYTE: u64 = 1 << 20;
/// A link on which nothing that takes MiB ends before a test ends, but that is no black hole: what breaks behind it is seen.
pub(crate) const SLOW: Link = Link {
    round_trip: Duration::ZERO,
    bandwidth: Some(16 << 10),
    total: None,
    blackhole: false,
    idle: None,
    cuts: None,
    outage: None,
};
/// By when the middle has come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `check` holds for what has gone through the relay, and makes the link [`SLOW`].
pub(crate) fn stop_at(detour: &Detour, check: impl Fn(&Counts) -> bool) -> Result<()> {
    wait(detour, check, SLOW)
}

/// Waits until `check` holds for what has gone through the relay, and makes the link a black hole.
pub(crate) fn stand_still(detour: &Detour, check: impl Fn(&Counts) -> bool) -> Result<()> {
    wait(detour, check, Link { blackhole: true, ..SLOW })
}

fn wait(detour: &Detour, check: impl Fn(&Counts) -> bool, link: Link) -> Result<()> {
    ensure!(detour.relay.wait_for(PATIENCE, check), "too little was sent: {:?}", detour.relay.counts());
    detour.relay.set(link);
    Ok(())
}

/// Compares an archive that was pulled with the image that was pushed, byte for byte.
pub(crate) fn assert_pulled(stage: &Stage, archive: &str, image: &RandomImage) -> Result<()> {
    let mut archive = tar::Archive::new(File::open(stage.path(archive))?);
    let mut found = HashMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let (path, mut bytes) = (entry.path()?.display().to_string(), Vec::new());
        entry.read_to_end(&mut bytes)?;
        found.insert(path, bytes);
    }
    for blob in image.blobs().into_iter().chain([image.manifest().clone()]) {
        let path = format!("blobs/{}", digest_of(&blob).replace(':', "/"));
        ensure!(found.get(&path).is_some_and(|bytes| *bytes == blob), "{path} is missing or has other bytes");
    }
    Ok(())
}
