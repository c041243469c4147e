//! What bounds the client.

use std::time::Duration;

/// The largest body of an error, in bytes: more is for people, and too much even for them.
pub(crate) const ERROR_BODY: usize = 64 << 10;
/// The largest page of a list, in bytes: registries that know no paging send 100,000 tags of up to 128 bytes at once.
pub(crate) const LIST_BODY: usize = 16 << 20;
/// The most pages of a list: a million names at [`PAGE`] names each.
pub(crate) const PAGES: usize = 1000;
/// The names that are asked for on a page: Distribution refuses more.
pub(crate) const PAGE: usize = 1000;

/// What bounds each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a call without a blob may take, each time that it is tried. A catalog of thousands of repositories on an
    /// object store takes Distribution tens of seconds.
    pub call: Duration,
    /// How long a blob may be silent, either way; the time in which its own source or reader is busy does not count. What
    /// nginx takes by default.
    pub stall: Duration,
    /// How long the registry may take to store a blob after its last byte: moving a large one in an object store takes
    /// Distribution a minute and more.
    pub store: Duration,
    /// How often a call is tried at most.
    pub attempts: u32,
    /// The first pause between two tries; each one is twice as long as the one before, up to 5 s, give or take a half.
    pub pause: Duration,
    /// How long all pauses of one call may take together. A `Retry-After` that is longer, of the registry or of its realm, is not
    /// waited for.
    pub pauses: Duration,
    /// How long after its first try a call is tried again at most.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            store: Duration::from_secs(300),
            attempts: 4,
            pause: Duration::from_millis(250),
            pauses: Duration::from_secs(30),
            patience: Duration::from_secs(300),
        }
    }
}
