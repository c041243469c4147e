//! Which channel led to a registry the last time, and whether it was a long one: a channel that is closed costs a round trip, or ten
//! seconds, and on a long way connections are better made before they are needed.
//!
//! A file for each right to each registry, and for each user of a cluster, whose rights are his own, so that two processes cannot be in each other's way; whatever happens to it costs a
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
/// What stands behind the name of a channel of a long way.
const FAR: &str = " far";

/// What is remembered of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) way: Way,
    pub(super) is_far: bool,
}

/// A place for the channel of one registry.
#[derive(Clone, Debug)]
pub(super) struct ChannelMemory(PathBuf);

impl ChannelMemory {
    /// Returns the place for the registry `name` in `namespace`, as it is seen from `perspective`: of which cluster, and by whom; none
    /// where there is no folder.
    pub(super) fn new(perspective: &str, namespace: &str, name: &str, right: Right) -> Option<Self> {
        Some(Self(folders::cache()?.join(FOLDER).join(key(perspective, namespace, name, right))))
    }

    /// Returns the channel that was open within the last day.
    pub(super) fn recall(&self) -> Option<Remembered> {
        let metadata = fs::metadata(&self.0).ok().filter(|metadata| metadata.len() <= LENGTH)?;
        let age = SystemTime::now().duration_since(metadata.modified().ok()?).ok()?;
        let text = fs::read_to_string(&self.0).ok().filter(|_| age < AGE)?;
        let name = text.strip_suffix(FAR);
        Some(Remembered { way: Way::named(name.unwrap_or(&text))?, is_far: name.is_some() })
    }

    /// Remembers a channel for a time, a day at most.
    pub(super) fn remember(&self, channel: Remembered, time: Duration) {
        // What is good for less than a day is older than it is.
        self.store(channel, SystemTime::now() - AGE.saturating_sub(time));
    }

    /// Remembers something else of the same channel, for as long as before.
    pub(super) fn amend(&self, channel: Remembered) {
        if let Ok(modified) = fs::metadata(&self.0).and_then(|metadata| metadata.modified()) {
            self.store(channel, modified);
        }
    }

    fn store(&self, channel: Remembered, modified: SystemTime) {
        if let Err(error) = self.write(channel, modified) {
            tracing::debug!("cannot remember the channel in {}: {error}", self.0.display());
        }
    }

    /// Forgets what is remembered.
    pub(super) fn forget(&self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!("cannot forget the channel in {}: {error}", self.0.display());
        }
    }

    fn write(&self, channel: Remembered, modified: SystemTime) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            folders::create(folder)?;
        }
        let mut file = File::create(&self.0)?;
        let far = if channel.is_far { FAR } else { "" };
        file.write_all(format!("{}{far}", channel.way).as_bytes())?;
        file.set_modified(modified)
    }
}

/// Returns the name of a file: what tells perspectives apart is not to be read from it.
fn key(perspective: &str, namespace: &str, name: &str, right: Right) -> String {
    // No other part holds a space, so that what is before the last three is the perspective.
    Digest::sha256_of(format!("{perspective} {namespace} {name} {right}")).hex().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sees_it_from_elsewhere_has_a_memory_of_his_own() {
        let one = key("https://a\0ann's\0ann", "shop", "default", Right::Push);
        assert_eq!(one, key("https://a\0ann's\0ann", "shop", "default", Right::Push));
        for (perspective, namespace, name, right) in [
            ("https://b\0ann's\0ann", "shop", "default", Right::Push),
            ("https://a\0bob's\0ann", "shop", "default", Right::Push),
            ("https://a\0ann's\0bob", "shop", "default", Right::Push),
            ("https://a\0ann's\0ann", "bank", "default", Right::Push),
            ("https://a\0ann's\0ann", "shop", "other", Right::Push),
            ("https://a\0ann's\0ann", "shop", "default", Right::Pull),
        ] {
            assert_ne!(one, key(perspective, namespace, name, right));
        }
    }

    #[test]
    fn remembers_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let memory = ChannelMemory(folder.path().join("below/key"));
        assert_eq!(memory.recall(), None);
        for (way, is_far) in Way::ALL.into_iter().flat_map(|way| [(way, false), (way, true)]) {
            memory.remember(Remembered { way, is_far }, AGE);
            assert_eq!(memory.recall(), Some(Remembered { way, is_far }));
        }
        let exec = Remembered { way: Way::Exec, is_far: false };
        memory.remember(exec, Duration::ZERO);
        memory.amend(Remembered { is_far: true, ..exec });
        assert_eq!(memory.recall(), None, "its time is over");
        memory.remember(exec, BRIEFLY);
        assert_eq!(memory.recall(), Some(exec));
        memory.amend(Remembered { is_far: true, ..exec });
        assert_eq!(memory.recall(), Some(Remembered { is_far: true, ..exec }));
        memory.forget();
        memory.amend(exec);
        assert_eq!(memory.recall(), None);
        memory.remember(exec, AGE);
        let file = fs::File::options().write(true).open(&memory.0).unwrap();
        file.set_modified(SystemTime::now() - AGE - Duration::from_secs(1)).unwrap();
        assert_eq!(memory.recall(), None, "it is too old");
        for text in ["", " far", "carrier pigeon", &"proxy".repeat(100)] {
            fs::write(&memory.0, text).unwrap();
            assert_eq!(memory.recall(), None, "{text:?}");
        }
    }
}
