//! `--no-cache`.

use clap::Args;
use reposure_oci::LayerCache;

use crate::folders;

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
        if self.no_cache { None } else { folders::cache().map(LayerCache::new) }
    }
}
