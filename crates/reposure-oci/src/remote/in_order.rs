//! Blobs of registries that know no ranges: each answer has all of the blob, so that one is read on from piece to piece.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::Mutex;

use crate::{
    manifest::Descriptor,
    name::RepositoryName,
    registry::Client,
    transport::{Body, BoxError, Transport},
};

/// How much memory is taken before there are bytes for it, at most.
const RESERVED: usize = 8 << 20;

/// A blob that is read from front to back, by whoever needs its next bytes. What was passed over is read from the start again.
#[derive(Default)]
pub(super) struct InOrder {
    needed: AtomicBool,
    rest: Mutex<Option<Rest>>,
}

impl InOrder {
    /// Takes note that the registry ignores ranges.
    pub(super) fn need(&self) {
        self.needed.store(true, Ordering::Relaxed);
    }

    /// Tells whether the registry ignores ranges.
    pub(super) fn is_needed(&self) -> bool {
        self.needed.load(Ordering::Relaxed)
    }

    /// Reads `length` bytes from `offset`, which are within the blob.
    pub(super) async fn read<T: Transport + Clone + 'static>(
        &self,
        client: &Client<T>,
        repository: &RepositoryName,
        blob: &Descriptor,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, BoxError> {
        let mut kept = self.rest.lock().await;
        let rest = kept.take().filter(|rest| rest.offset <= offset);
        let mut rest = rest.unwrap_or_else(|| Rest {
            body: client.read_blob(repository, blob),
            offset: 0,
            piece: Bytes::new(),
        });
        let bytes = rest.read(offset, length).await?;
        *kept = Some(rest).filter(|rest| rest.offset < blob.size);
        Ok(bytes)
    }
}

/// What is left of an answer.
struct Rest {
    body: Body,
    /// Where in the blob `piece` is.
    offset: u64,
    piece: Bytes,
}

impl Rest {
    async fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, BoxError> {
        let mut bytes = BytesMut::with_capacity(length.min(RESERVED));
        while bytes.len() < length {
            if self.piece.is_empty() {
                let frame = self.body.frame().await.ok_or("the blob ended early")?;
                self.piece = frame?.into_data().unwrap_or_default();
            }
            let before = usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            self.take(before);
            bytes.extend_from_slice(&self.take(length - bytes.len()));
        }
        Ok(bytes.freeze())
    }

    /// Takes what there is, `most` bytes at most.
    fn take(&mut self, most: usize) -> Bytes {
        let taken = self.piece.split_to(most.min(self.piece.len()));
        self.offset += taken.len() as u64;
        taken
    }
}
