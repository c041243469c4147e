//! `--no-cache`, and where the cache is.

use std::path::PathBuf;

use clap::Args;
use reposure_oci::LayerCache;

/// The folder below the user's folder of caches.
const FOLDER: &str = "reposure";

/// Whether what layers became is remembered.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CacheArgs {
    /// Compress every layer, even if the registry has it
    ///
    /// What layers became when they were compressed is kept in `$XDG_CACHE_HOME/reposure`, or else in `~/.cache/reposure`: digests
    /// and sizes, at most 4 MiB, which may be deleted at any time. The layers of an archive are measured unless nobody has touched it
    /// since, and the registry is asked before anything counts.
    #[arg(long)]
    no_cache: bool,
}

impl CacheArgs {
    /// Returns the cache; there is none where there is no folder for it.
    pub(crate) fn cache(self) -> Option<LayerCache> {
        if self.no_cache { None } else { folder().map(LayerCache::new) }
    }
}

/// By the [XDG Base Directory Specification](https://specifications.freedesktop.org/basedir-spec/latest/), which says that paths
/// that are not absolute are to be ignored.
fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let below_home =
        || std::env::home_dir().filter(|path| path.is_absolute()).map(|home| home.join(".cache"));
    Some(named.or_else(below_home)?.join(FOLDER))
}
