//! The layer that holds a file.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
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
        Self { work: Arc::new(Work { path, name }), options, made: OnceCell::new() }
    }

    /// Returns the layer, compressed now if it is not yet.
    pub(crate) async fn made(&self) -> Result<Made, FileError> {
        self.made.get_or_try_init(|| self.make()).await.cloned()
    }

    async fn make(&self) -> Result<Made, FileError> {
        let _permit = self.options.workers.permit().await;
        let (work, options) = (self.work.clone(), self.options.clone());
        let made = blocking::run(move |stop| work.make(&options, stop)).await;
        made.map_err(|source| FileError::Broken { path: self.work.path.clone(), source })?
    }
}

impl Work {
    fn make(&self, options: &Options, stop: &Stop) -> Result<Made, FileError> {
        let failed = |source| FileError::Compress { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(|source| self.unreadable(source))?;
        let metadata = file.metadata().map_err(|source| self.unreadable(source))?;
        let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        let header =
            tarball::header(EntryType::Regular, &self.name, metadata.size(), mode).map_err(failed)?;

        let mut out = Compressor::new(options).map_err(failed)?;
        out.write_all(&header).map_err(failed)?;
        self.copy(stop.reader(file), metadata.size(), &mut out)?;
        out.write_all(&tarball::END[..tarball::padding(metadata.size())]).map_err(failed)?;
        out.write_all(&tarball::END).map_err(failed)?;
        Ok(self.made(out.finish().map_err(failed)?, options.compression))
    }

    fn unreadable(&self, source: io::Error) -> FileError {
        FileError::Read { path: self.path.clone(), source }
    }

    fn copy(&self, mut file: impl Read, size: u64, out: &mut Compressor) -> Result<(), FileError> {
        let changed = || FileError::Changed { path: self.path.clone(), expected: size };
        let copied = io::copy(&mut file.by_ref().take(size), out);
        let copied = copied.map_err(|source| FileError::Compress { path: self.path.clone(), source })?;
        let more = file.read(&mut [0]).map_err(|source| self.unreadable(source))?;
        if copied == size && more == 0 { Ok(()) } else { Err(changed()) }
    }

    fn made(&self, compressed: Compressed, compression: Compression) -> Made {
        let diff_id = compressed.diff_id.clone();
        let mut descriptor = compressed.descriptor(compression.layer_type());
        descriptor.annotations.insert(TITLE.into(), self.name.clone());
        Made { diff_id, blob: compressed.into_blob(descriptor) }
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
}
