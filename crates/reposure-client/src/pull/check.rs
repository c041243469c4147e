//! The check of blobs that are written into a file: of what comes in order while it is written, of the rest right behind, while
//! it is still in the page cache.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, PoisonError, TryLockError, mpsc},
};

use bytes::Bytes;
use reposure_oci::{BlobError, Digest, RepositoryName, blob::Verifier};
use reposure_parcel::upload::How;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;

use super::{Place, PullError, range::Range};
use crate::progress::{Event, Progress};

/// How much is read at once, in bytes: what stays in a core's cache.
const READ: usize = 256 << 10;

/// The blobs of a pull, as far as they are checked.
pub(super) struct Blobs(Vec<Mutex<Blob>>);

impl Blobs {
    pub(super) fn new(repository: &RepositoryName, places: &[Place]) -> Self {
        Self(places.iter().map(|place| Mutex::new(Blob::new(repository, place))).collect())
    }

    /// Checks bytes that are written at `offset` of a blob, if they are the next ones. Others are read back later.
    pub(super) fn written(&self, blob: usize, offset: u64, batch: &[Bytes]) -> Result<(), PullError> {
        match self.0[blob].try_lock() {
            Ok(mut blob) => blob.follow(offset, batch),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().follow(offset, batch),
            // What stands before them is being read back.
            Err(TryLockError::WouldBlock) => Ok(()),
        }
    }

    /// Checks what there is without a gap, and tells whether that was the last of the blob.
    fn complete(&self, range: &Range, buffer: &mut [u8]) -> Result<bool, PullError> {
        let mut blob = self.0[range.blob].lock().unwrap_or_else(PoisonError::into_inner);
        let complete = blob.written(range, buffer)?;
        if blob.durable {
            blob.file.sync_data().map_err(PullError::Write)?;
        }
        Ok(complete)
    }
}

/// A thread that verifies blobs and brings them to the disk; it ends with the sender of the ranges that are written.
pub(super) struct Check(AbortOnDropHandle<Result<(), PullError>>);

impl Check {
    /// Starts the thread, and returns where to tell it of the ranges that are written, in any order. It sends the numbers of the
    /// blobs that are whole and good to `finished`.
    pub(super) fn start(
        blobs: Arc<Blobs>,
        progress: &Progress,
        finished: UnboundedSender<usize>,
    ) -> (Self, mpsc::Sender<Range>) {
        let (sender, written) = mpsc::channel::<Range>();
        let progress = progress.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; READ];
            for range in written {
                if blobs.complete(&range, &mut buffer)? {
                    // Not everybody wants to know.
                    let _ = finished.send(range.blob);
                    progress.send(Event::Finished { part: range.blob, how: How::Uploaded });
                }
            }
            Ok(())
        });
        (Self(AbortOnDropHandle::new(thread)), sender)
    }

    /// Waits for the end, which comes when a blob is bad, or when the sender is gone.
    pub(super) async fn done(self) -> Result<(), PullError> {
        self.0.await.map_err(PullError::Task)?
    }
}

/// A blob that is being checked.
struct Blob {
    repository: RepositoryName,
    digest: Digest,
    file: Arc<File>,
    start: u64,
    size: u64,
    durable: bool,
    verifier: Verifier,
    /// How much of it is checked, in bytes.
    front: u64,
    /// The ranges that are written behind the front, by their starts.
    ahead: BTreeMap<u64, u64>,
}

impl Blob {
    fn new(repository: &RepositoryName, place: &Place) -> Self {
        Self {
            repository: repository.clone(),
            digest: place.blob.digest.clone(),
            file: place.file.clone(),
            start: place.start,
            size: place.blob.size,
            durable: place.durable,
            verifier: Verifier::new(&place.blob),
            front: 0,
            ahead: BTreeMap::new(),
        }
    }

    fn follow(&mut self, offset: u64, batch: &[Bytes]) -> Result<(), PullError> {
        if offset != self.front {
            return Ok(());
        }
        batch.iter().try_for_each(|bytes| self.check(bytes))
    }

    fn wrong(&self, source: BlobError) -> PullError {
        PullError::of_bytes(&self.repository, &self.digest, source)
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.verifier.update(bytes).map_err(|source| self.wrong(source))?;
        self.front += bytes.len() as u64;
        Ok(())
    }

    /// Takes note of a range, checks what there is without a gap, and tells whether that was the last of it.
    fn written(&mut self, range: &Range, buffer: &mut [u8]) -> Result<bool, PullError> {
        self.ahead.insert(range.start, range.end);
        while let Some(next) = self.ahead.first_entry().filter(|next| *next.key() <= self.front) {
            let end = next.remove();
            self.read(end, buffer)?;
            if end == self.size {
                let verifier = self.verifier.clone();
                return verifier.finish().map(|()| true).map_err(|source| self.wrong(source));
            }
        }
        Ok(false)
    }

    /// Reads up to `end` what is not checked yet.
    fn read(&mut self, end: u64, buffer: &mut [u8]) -> Result<(), PullError> {
        while self.front < end {
            let length = (end - self.front).min(buffer.len() as u64);
            // Not above the buffer's length, so it fits.
            let piece = &mut buffer[..usize::try_from(length).unwrap_or(READ)];
            self.file.read_exact_at(piece, self.start + self.front).map_err(PullError::ReadBack)?;
            self.check(piece)?;
        }
        Ok(())
    }
}
