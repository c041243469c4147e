//! The check of blobs in a file, right behind the ranges that come: what is read is still in the page cache.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    sync::{Arc, mpsc},
};

use reposure_oci::blob::Verifier;
use reposure_parcel::upload::How;
use tokio_util::task::AbortOnDropHandle;

use super::{Place, PullError, range::Range};
use crate::progress::{Event, Progress};

/// How much is read at once, in bytes: what stays in a core's cache.
const READ: usize = 256 << 10;

/// A thread that verifies blobs and brings them to the disk; it ends with the sender of the ranges that are written.
pub(super) struct Check(AbortOnDropHandle<Result<(), PullError>>);

impl Check {
    /// Starts the thread, and returns where to tell it of the ranges that are written, in any order.
    pub(super) fn start(places: &[Place], progress: &Progress) -> (Self, mpsc::Sender<Range>) {
        let (sender, written) = mpsc::channel::<Range>();
        let mut blobs: Vec<Blob> = places.iter().map(Blob::new).collect();
        let progress = progress.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; READ];
            for range in written {
                let part = range.blob;
                let complete = blobs[part].written(&range, &mut buffer)?;
                if blobs[part].durable {
                    blobs[part].file.sync_data().map_err(PullError::Write)?;
                }
                if complete {
                    progress.send(Event::Finished { part, how: How::Uploaded });
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
    file: Arc<File>,
    start: u64,
    size: u64,
    durable: bool,
    verifier: Verifier,
    front: u64,
    /// The ranges that are written behind the front, by their starts.
    ahead: BTreeMap<u64, u64>,
}

impl Blob {
    fn new(place: &Place) -> Self {
        Self {
            file: place.file.clone(),
            start: place.start,
            size: place.blob.size,
            durable: place.durable,
            verifier: Verifier::new(&place.blob),
            front: 0,
            ahead: BTreeMap::new(),
        }
    }

    /// Takes note of a range, checks what there is without a gap, and tells whether that was the last of it.
    fn written(&mut self, range: &Range, buffer: &mut [u8]) -> Result<bool, PullError> {
        self.ahead.insert(range.start, range.end);
        while let Some(end) = self.ahead.remove(&self.front) {
            self.read(end, buffer)?;
            if end == self.size {
                let verifier = self.verifier.clone();
                return verifier.finish().map(|()| true).map_err(PullError::Blob);
            }
        }
        Ok(false)
    }

    /// Reads up to `end` and moves the front there.
    fn read(&mut self, end: u64, buffer: &mut [u8]) -> Result<(), PullError> {
        while self.front < end {
            let length = (end - self.front).min(buffer.len() as u64);
            // Not above the buffer's length, so it fits.
            let piece = &mut buffer[..usize::try_from(length).unwrap_or(READ)];
            self.file.read_exact_at(piece, self.start + self.front).map_err(PullError::ReadBack)?;
            self.verifier.update(piece).map_err(PullError::Blob)?;
            self.front += length;
        }
        Ok(())
    }
}
