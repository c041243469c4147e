//! Blobs in files.

use std::{fs::File, io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use rustix::{buffer::spare_capacity, io::Errno};

use super::{Blob, BlobError, spare::SPARE, within};
use crate::manifest::Descriptor;

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
        let offset = self.start + offset;
        let read = read_exactly_at(&self.file, offset, length);
        read.map_err(|source| BlobError::Read { path: self.path.as_ref().clone(), offset, length, source })
    }
}

/// Reads a range within a blob of `size` bytes, on a thread that may block.
fn read_apart(
    size: u64,
    offset: u64,
    length: usize,
    read: impl FnOnce() -> Result<Bytes, BlobError> + Send + 'static,
) -> BoxFuture<'static, Result<Bytes, BlobError>> {
    Box::pin(async move {
        within(offset, length, size)?;
        // A panic of the reading thread is the only way for the join to fail, and reading does not panic.
        tokio::task::spawn_blocking(read).await.map_err(|source| BlobError::Fetch {
            offset,
            length,
            source: source.into(),
        })?
    })
}

/// Reads into memory that is not filled with zeros first.
fn read_exactly_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = SPARE.take(length);
    while bytes.len() < length {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // There may have been room for more than was asked for.
    bytes.truncate(length);
    Ok(SPARE.lend(bytes))
}

impl Blob for FileSlice {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        let slice = self.clone();
        read_apart(self.descriptor.size, offset, length, move || slice.read(offset, length))
    }

    fn origin(&self) -> Option<String> {
        let (size, start, path) = (self.descriptor.size, self.start, self.path.display());
        Some(format!("{size} bytes from byte {start} of {path}"))
    }
}

/// A blob that is a whole file, opened anew for each read, so that a folder of many blobs needs no file handles.
#[derive(Clone, Debug)]
pub struct PathBlob {
    descriptor: Descriptor,
    path: Arc<PathBuf>,
}

impl PathBlob {
    /// Takes the file at `path` as the content of `descriptor`.
    pub const fn new(descriptor: Descriptor, path: Arc<PathBuf>) -> Self {
        Self { descriptor, path }
    }

    fn open(&self, offset: u64, length: usize) -> Result<FileSlice, BlobError> {
        let file = File::open(self.path.as_ref()).map_err(|source| BlobError::Read {
            path: self.path.as_ref().clone(),
            offset,
            length,
            source,
        })?;
        Ok(FileSlice::new(self.descriptor.clone(), Arc::new(file), self.path.clone(), 0))
    }
}

impl Blob for PathBlob {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, BlobError>> {
        let blob = self.clone();
        read_apart(self.descriptor.size, offset, length, move || {
            blob.open(offset, length)?.read(offset, length)
        })
    }

    fn origin(&self) -> Option<String> {
        Some(self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob::verify, digest::Digest, media_type::MediaType};

    #[tokio::test]
    async fn reads_ranges_of_a_file_and_nothing_outside() {
        let folder = tempfile::tempdir().unwrap();
        let path = Arc::new(folder.path().join("blob"));
        std::fs::write(path.as_ref(), "0123456789").unwrap();
        let descriptor = Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of("234567"), 6);
        let slice = FileSlice::new(descriptor, Arc::new(File::open(path.as_ref()).unwrap()), path.clone(), 2);
        assert_eq!(slice.read_at(1, 3).await.unwrap(), "345");
        assert!(matches!(slice.read_at(4, 3).await, Err(BlobError::Range { .. })));
        assert!(matches!(slice.read_at(u64::MAX, 3).await, Err(BlobError::Range { .. })));
        verify(&slice).await.unwrap();

        let descriptor = Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of("0123456789"), 10);
        let whole = PathBlob::new(descriptor, path.clone());
        verify(&whole).await.unwrap();
        std::fs::write(path.as_ref(), "01234").unwrap();
        assert!(matches!(verify(&whole).await, Err(BlobError::Read { .. })));
    }
}
