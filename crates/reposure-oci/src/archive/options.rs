//! How a source is opened.

use std::{num::NonZeroUsize, sync::Arc, thread};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    cache::LayerCache, compression::Compression, encoder::THREADS, manifest::Platform, spool::Spool,
};

/// How a source is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where layers are compressed and archives decompressed to.
    pub spool: Spool,
    /// What the source is, where that is not to be found out.
    pub form: Form,
    /// How layers are compressed.
    pub compression: Compression,
    /// What layers became when they were compressed before; none, and they are always compressed.
    pub cache: Option<LayerCache>,
    /// How many layers are compressed at once.
    pub workers: Workers,
    /// How many threads compress each of them, 16 at the most; the bytes are the same for any number.
    pub threads: NonZeroUsize,
    /// The platform of an image that is made of a file.
    pub platform: Platform,
    /// Which image of an index is wanted, if only one is. An index becomes that image, if it has it; see
    /// [`Artifact::of_platform`](crate::Artifact::of_platform) for making sure of it.
    pub only: Option<Platform>,
}

impl Options {
    /// Takes a spool, and the defaults for the rest: the form is found out, gzip, no cache, a worker and a thread for each of up to 16
    /// processors, Linux on this machine's architecture.
    pub fn new(spool: Spool) -> Self {
        Self {
            spool,
            form: Form::default(),
            compression: Compression::default(),
            cache: None,
            workers: Workers::default(),
            threads: parallelism(),
            platform: host_platform(),
            only: None,
        }
    }
}

/// What a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Images if it holds images, else a file.
    #[default]
    Detect,
    /// Images, or an error.
    Images,
    /// Images as `manifest.json` lists them, which a docker-archive has; what else there is does not count.
    Docker,
    /// Images as `index.json` lists them, which an OCI layout or archive has; what else there is does not count.
    Oci,
    /// A file, whatever it holds.
    File,
}

/// Threads that compress layers; clones share them.
#[derive(Clone, Debug)]
pub struct Workers(Arc<Semaphore>);

impl Workers {
    /// Makes `count` workers, one at the least.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))))
    }
}

impl Workers {
    /// Waits until a worker is free, and holds it.
    pub(crate) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so that there always is a permit.
        self.0.acquire().await.ok()
    }
}

impl Default for Workers {
    /// Makes one for each of up to 16 processors.
    fn default() -> Self {
        Self::new(parallelism().get())
    }
}

fn parallelism() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).min(THREADS)
}

/// Returns Linux on this machine's architecture, by Go's names.
///
/// See the [image specification, "Properties"](https://github.com/opencontainers/image-spec/blob/main/config.md#properties).
pub fn host_platform() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "x86" => ("386", None),
        "aarch64" => ("arm64", None),
        "arm" => ("arm", Some("v7".into())),
        "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
        "loongarch64" => ("loong64", None),
        other => (other, None),
    };
    Platform { os: "linux".into(), architecture: architecture.into(), variant }
}
