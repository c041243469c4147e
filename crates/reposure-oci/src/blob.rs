//! Blobs: bytes of a known digest and size that can be read from any offset, as often as wanted.
//!
//! A push reads a blob in chunks, several at once, and reads a chunk again after a cut; so a source is replayable until the
//! registry has confirmed the blob.

use std::{fmt, fs::File, io, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::manifest::Descriptor;

/// Why a blob cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file cannot be read.
    #[error("cannot read {length} bytes at {offset} of {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// How many bytes were wanted.
        length: usize,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The range is not within the blob.
    #[error("bytes {offset}+{length} are outside of a blob of {size} bytes")]
    Range {
        /// Where in the blob, in bytes.
        offset: u64,
        /// How many bytes were wanted.
        length: usize,
        /// The blob's size in bytes.
        size: u64,
    },
    /// The blob of another registry cannot be had.
    #[error("cannot fetch {length} bytes at {offset} of the blob")]
    Fetch {
        /// Where in the blob, in bytes.
        offset: u64,
        /// How many bytes were wanted.
        length: usize,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A blob that can be read from any offset, as often as wanted.
pub trait Blob: Send + Sync + fmt::Debug {
    /// Returns media type, digest and size.
    fn descriptor(&self) -> &Descriptor;

    /// Reads exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// When the range is outside of the blob, or its source cannot be read.
    ///
    /// # Cancel safety
    /// A read that is dropped has no effect.
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>>;
}

/// A blob in memory.
#[derive(Clone, Debug)]
pub struct MemoryBlob {
    descriptor: Descriptor,
    bytes: Bytes,
}

impl MemoryBlob {
    /// Takes bytes as the content of `descriptor`, whose digest the caller vouches for.
    pub const fn new(descriptor: Descriptor, bytes: Bytes) -> Self {
        Self { descriptor, bytes }
    }
}

impl Blob for MemoryBlob {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        let size = self.bytes.len() as u64;
        let result = within(offset, length, size).map(|()| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            self.bytes.slice(start..start + length)
        });
        Box::pin(std::future::ready(result))
    }
}

/// A blob that is a stretch of a file: a member of an uncompressed archive, a file of a layout, or a spooled layer.
#[derive(Clone, Debug)]
pub struct FileSlice {
    descriptor: Descriptor,
    file: Arc<File>,
    path: Arc<PathBuf>,
    start: u64,
}

impl FileSlice {
    /// Takes `descriptor.size` bytes of `file` from `start` as the content of `descriptor`; `path` is for error messages.
    pub const fn new(descriptor: Descriptor, file: Arc<File>, path: Arc<PathBuf>, start: u64) -> Self {
        Self { descriptor, file, path, start }
    }

    fn read(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, self.start + offset).map_err(|source| BlobError::Read {
            path: self.path.as_ref().clone(),
            offset: self.start + offset,
            length,
            source,
        })?;
        Ok(buffer.into())
    }
}

impl Blob for FileSlice {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        let slice = self.clone();
        Box::pin(async move {
            within(offset, length, slice.descriptor.size)?;
            // A panic of the reading thread is the only way for the join to fail, and reading does not panic.
            tokio::task::spawn_blocking(move || slice.read(offset, length))
                .await
                .map_err(|source| BlobError::Fetch { offset, length, source: source.into() })?
        })
    }
}

fn within(offset: u64, length: usize, size: u64) -> Result<(), BlobError> {
    match offset.checked_add(length as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(BlobError::Range { offset, length, size }),
    }
}
