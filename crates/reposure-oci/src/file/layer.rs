//! The layer that holds a file.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use futures::future::BoxFuture;
use tar::EntryType;
use tokio::{sync::OnceCell, task::JoinError};

use crate::{
    archive::{
        MakeManifestError, Options,
        compress::{Compressed, Compressor},
    },
    blob::Blob,
    blocking::{self, Stop},
    compression::Compression,
    digest::Digest,
    image::{Layer, SourceError},
    manifest::Descriptor,
    measure::Measure,
    tarball,
};

/// The annotation that holds a layer's file name, by the image specification.
const TITLE: &str = "org.opencontainers.image.title";

/// Why a file cannot be made an image.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The file has grown or shrunk meanwhile.
    #[error("{path} has changed while it was read: it had {expected} bytes when it was opened")]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its size in bytes when it was opened.
        expected: u64,
    },
    /// The file holds other bytes than when it was first read.
    #[error("{0} has changed after it was first read")]
    Rewritten(PathBuf),
    /// The file cannot be compressed into the spool.
    #[error("cannot compress {path}")]
    Compress {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The configuration cannot be written as JSON.
    #[error("the configuration of the image cannot be written")]
    Config(#[source] serde_json::Error),
    /// The manifest cannot be made.
    #[error("the image cannot be made")]
    Manifest(#[source] MakeManifestError),
    /// The thread that compresses ended early.
    #[error("the work on {path} was broken off")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: JoinError,
    },
}

/// The layer that holds a file.
#[derive(Debug)]
pub(crate) struct FileLayer {
    work: Arc<Work>,
    options: Options,
    made: OnceCell<Made>,
    /// What the layer became before, if it did; measured now.
    remembered: OnceCell<Option<Remembered>>,
    /// What a registry has confirmed, where the layer was not compressed.
    settled: OnceLock<Descriptor>,
}

/// What is known of a layer that was compressed before.
#[derive(Clone, Debug)]
struct Remembered {
    diff_id: Digest,
    descriptor: Descriptor,
}

/// A layer that is compressed.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The digest of the uncompressed tar.
    pub(crate) diff_id: Digest,
    /// The compressed tar.
    pub(crate) blob: Arc<dyn Blob>,
}

#[derive(Debug)]
struct Work {
    path: PathBuf,
    name: String,
}

impl FileLayer {
    pub(crate) fn new(path: PathBuf, name: String, options: Options) -> Self {
        let work = Arc::new(Work { path, name });
        Self { work, options, made: OnceCell::new(), remembered: OnceCell::new(), settled: OnceLock::new() }
    }

    /// Returns the layer, compressed now if it is not yet.
    pub(crate) async fn made(&self) -> Result<Made, FileError> {
        self.made.get_or_try_init(|| self.make()).await.cloned()
    }

    /// Returns the digest of the uncompressed tar.
    pub(crate) async fn measured(&self) -> Result<Digest, FileError> {
        if let (None, Some(Remembered { diff_id, .. })) = (self.made.get(), self.recall().await?) {
            return Ok(diff_id.clone());
        }
        Ok(self.made().await?.diff_id)
    }

    /// Returns what the manifest says of the blob, which is compressed now if it must be.
    pub(crate) async fn descriptor(&self) -> Result<Descriptor, FileError> {
        match (self.made.get(), self.settled.get()) {
            (None, Some(settled)) => Ok(settled.clone()),
            _ => Ok(self.made().await?.blob.descriptor().clone()),
        }
    }

    async fn make(&self) -> Result<Made, FileError> {
        let made = self.run(Work::make).await?;
        match self.remembered.get() {
            // The configuration may hold what was measured.
            Some(Some(Remembered { diff_id, .. })) if *diff_id != made.diff_id => {
                Err(FileError::Rewritten(self.work.path.clone()))
            }
            _ => Ok(made),
        }
    }

    async fn recall(&self) -> Result<Option<&Remembered>, FileError> {
        self.remembered.get_or_try_init(|| self.run(Work::recall)).await.map(Option::as_ref)
    }

    async fn run<T: Send + 'static>(
        &self,
        job: fn(&Work, &Options, &Stop) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let _permit = self.options.workers.permit().await;
        let (work, options) = (self.work.clone(), self.options.clone());
        let done = blocking::run(move |stop| job(&work, &options, stop)).await;
        done.map_err(|source| FileError::Broken { path: self.work.path.clone(), source })?
    }
}

/// The parts of a file's tar.
struct Tar {
    file: File,
    size: u64,
    header: Vec<u8>,
}

impl Tar {
    /// What comes behind the file.
    fn end(&self) -> Vec<u8> {
        [&tarball::END[..tarball::padding(self.size)], &tarball::END].concat()
    }

    fn length(&self) -> u64 {
        self.header.len() as u64 + self.size + self.end().len() as u64
    }
}

impl Work {
    fn open(&self) -> Result<Tar, FileError> {
        let file = File::open(&self.path).map_err(|source| self.unreadable(source))?;
        let metadata = file.metadata().map_err(|source| self.unreadable(source))?;
        let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        let header = tarball::header(EntryType::Regular, &self.name, metadata.size(), mode);
        let header = header.map_err(|source| self.uncompressed(source))?;
        Ok(Tar { file, size: metadata.size(), header })
    }

    fn make(&self, options: &Options, stop: &Stop) -> Result<Made, FileError> {
        let mut out = Compressor::new(options).map_err(|source| self.uncompressed(source))?;
        self.write(&self.open()?, stop, &mut out)?;
        Ok(self.made(out.finish().map_err(|source| self.uncompressed(source))?, options.compression))
    }

    /// Finds what the layer became before, and measures it then. Which layer it is, only the size tells before.
    fn recall(&self, options: &Options, stop: &Stop) -> Result<Option<Remembered>, FileError> {
        let Some(cache) = &options.cache else { return Ok(None) };
        let (tar, encoder) = (self.open()?, options.compression.to_string());
        if !cache.knows_size(tar.length(), &encoder) {
            return Ok(None);
        }
        let mut out = Measure::new(io::sink());
        self.write(&tar, stop, &mut out)?;
        let (_, diff_id, _) = out.finish();
        let known = cache.find(&diff_id, &encoder);
        Ok(known.map(|known| {
            let descriptor =
                self.describe(Descriptor::new(options.compression.layer_type(), known.digest, known.size));
            Remembered { diff_id, descriptor }
        }))
    }

    /// Writes the whole tar.
    fn write(&self, tar: &Tar, stop: &Stop, out: &mut impl Write) -> Result<(), FileError> {
        out.write_all(&tar.header).map_err(|source| self.uncompressed(source))?;
        self.copy(stop.reader(&tar.file), tar.size, out)?;
        out.write_all(&tar.end()).map_err(|source| self.uncompressed(source))
    }

    fn uncompressed(&self, source: io::Error) -> FileError {
        FileError::Compress { path: self.path.clone(), source }
    }

    fn unreadable(&self, source: io::Error) -> FileError {
        FileError::Read { path: self.path.clone(), source }
    }

    fn copy(&self, mut file: impl Read, size: u64, out: &mut impl Write) -> Result<(), FileError> {
        let changed = || FileError::Changed { path: self.path.clone(), expected: size };
        let copied = io::copy(&mut file.by_ref().take(size), out);
        let copied = copied.map_err(|source| self.uncompressed(source))?;
        let more = file.read(&mut [0]).map_err(|source| self.unreadable(source))?;
        if copied == size && more == 0 { Ok(()) } else { Err(changed()) }
    }

    fn made(&self, compressed: Compressed, compression: Compression) -> Made {
        let diff_id = compressed.diff_id.clone();
        let descriptor = self.describe(compressed.descriptor(compression.layer_type()));
        Made { diff_id, blob: compressed.into_blob(descriptor) }
    }

    fn describe(&self, mut descriptor: Descriptor) -> Descriptor {
        descriptor.annotations.insert(TITLE.into(), self.name.clone());
        descriptor
    }
}

/// Returns the last part of the path, which is what the file is called in the layer.
pub(crate) fn base_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl Layer for FileLayer {
    fn diff_id(&self) -> Option<&Digest> {
        self.made.get().map(|made| &made.diff_id)
    }

    fn label(&self) -> String {
        self.work.name.clone()
    }

    fn ready(&self) -> Option<Arc<dyn Blob>> {
        self.made.get().map(|made| made.blob.clone())
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Arc<dyn Blob>, SourceError>> {
        Box::pin(async { Ok(self.made().await?.blob) })
    }

    fn remembered(&self) -> BoxFuture<'_, Result<Option<Descriptor>, SourceError>> {
        Box::pin(async { Ok(self.recall().await?.map(|known| known.descriptor.clone())) })
    }

    fn settle(&self, remembered: Descriptor) {
        // Whatever a registry confirmed first is as good.
        let _ = self.settled.set(remembered);
    }
}
