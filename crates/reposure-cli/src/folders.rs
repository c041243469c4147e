//! Where files of the user's are.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// The folder below the user's folder of caches.
const NAME: &str = "reposure";
/// Nobody else may write there, whatever the user's umask: what is remembered of layers is not believed where others may.
const MODE: u32 = 0o700;

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

/// Makes a folder, and those above it that are missing.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(MODE).create(folder)
}
