//! Which channel led to a registry the last time: one that is closed costs a round trip, or ten seconds.
//!
//! A file for each right to each registry, so that two processes cannot be in each other's way; whatever happens to it costs a
//! second try at most, and is no error.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use reposure_oci::Digest;
use reposure_parcel::wire::Right;

use super::way::Way;
use crate::folders;

/// How long a channel is remembered: rights and networks change.
pub(super) const AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a channel is remembered that was taken since a better one did not answer.
pub(super) const BRIEFLY: Duration = Duration::from_secs(10 * 60);
const FOLDER: &str = "channels";
/// The longest name of a channel, and more, in bytes.
const LENGTH: u64 = 64;

/// A place for the channel of one registry.
#[derive(Clone, Debug)]
pub(super) struct ChannelMemory(PathBuf);

impl ChannelMemory {
    /// Returns the place for the registry `name` in `namespace` of the cluster at `api_server`; none where there is no folder.
    pub(super) fn new(api_server: &str, namespace: &str, name: &str, right: Right) -> Option<Self> {
        // No part of it holds a space.
        let key = Digest::sha256_of(format!("{api_server} {namespace} {name} {right}"));
        Some(Self(folders::cache()?.join(FOLDER).join(key.hex())))
    }

    /// Returns the channel that was open within the last day.
    pub(super) fn recall(&self) -> Option<Way> {
        let metadata = fs::metadata(&self.0).ok().filter(|metadata| metadata.len() <= LENGTH)?;
        let age = SystemTime::now().duration_since(metadata.modified().ok()?).ok()?;
        let name = fs::read_to_string(&self.0).ok().filter(|_| age < AGE)?;
        Way::named(&name)
    }

    /// Remembers a channel for a time, a day at most.
    pub(super) fn remember(&self, way: Way, time: Duration) {
        if let Err(error) = self.write(way, time) {
            tracing::debug!("cannot remember the channel in {}: {error}", self.0.display());
        }
    }

    /// Forgets what is remembered.
    pub(super) fn forget(&self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!("cannot forget the channel in {}: {error}", self.0.display());
        }
    }

    fn write(&self, way: Way, time: Duration) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            folders::create(folder)?;
        }
        let mut file = File::create(&self.0)?;
        file.write_all(way.to_string().as_bytes())?;
        // What is good for less than a day is older than it is.
        file.set_modified(SystemTime::now() - AGE.saturating_sub(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let memory = ChannelMemory(folder.path().join("below/key"));
        assert_eq!(memory.recall(), None);
        for way in Way::ALL {
            memory.remember(way, AGE);
            assert_eq!(memory.recall(), Some(way));
        }
        memory.remember(Way::Exec, Duration::ZERO);
        assert_eq!(memory.recall(), None, "its time is over");
        memory.remember(Way::Exec, BRIEFLY);
        assert_eq!(memory.recall(), Some(Way::Exec));
        memory.forget();
        assert_eq!(memory.recall(), None);
        memory.remember(Way::Exec, AGE);
        let file = fs::File::options().write(true).open(&memory.0).unwrap();
        file.set_modified(SystemTime::now() - AGE - Duration::from_secs(1)).unwrap();
        assert_eq!(memory.recall(), None, "it is too old");
        for text in ["", "carrier pigeon", &"proxy".repeat(100)] {
            fs::write(&memory.0, text).unwrap();
            assert_eq!(memory.recall(), None, "{text:?}");
        }
    }
}
