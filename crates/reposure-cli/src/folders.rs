//! Where files of the user's are.

use std::path::PathBuf;

/// The folder below the user's folder of caches.
const NAME: &str = "reposure";

/// Returns the folder for what may be deleted at any time.
///
/// By the [XDG Base Directory Specification](https://specifications.freedesktop.org/basedir-spec/latest/), which says that paths
/// that are not absolute are to be ignored.
pub(crate) fn cache() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let below_home =
        || std::env::home_dir().filter(|path| path.is_absolute()).map(|home| home.join(".cache"));
    Some(named.or_else(below_home)?.join(NAME))
}
