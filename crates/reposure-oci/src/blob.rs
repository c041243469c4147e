//! Blobs: bytes of a known digest and size that can be read from any offset, as often as wanted.
//!
//! A push reads a blob in chunks, several at once, and reads a chunk again after a cut; so a source is replayable until the
//! registry has confirmed the blob.

mod file;
mod spare;

use std::{fmt, io, path::PathBuf, pin::pin, sync::Arc};

use bytes::Bytes;
pub use file::{FileSlice, PathBlob};
use futures::{Stream, StreamExt, future::BoxFuture, stream};

use crate::{
    digest::{Digest, Digester},
    manifest::Descriptor,
};

/// How much is read at once of a blob that is read whole, in bytes: enough that the blocking pool's overhead does not show.
const PIECE: u64 = 1 << 20;
/// How many pieces are read at once of a blob that is read whole: one is being used while the next one comes.
pub(crate) const PIECES: usize = 2;

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
    /// The bytes are fewer or more than was said.
    #[error("blob {digest} has {actual} bytes instead of {expected}")]
    Size {
        /// The blob's digest, as it was said.
        digest: Digest,
        /// The size that was said, in bytes.
        expected: u64,
        /// The bytes that were seen; where there are too many, those until that was noticed.
        actual: u64,
    },
    /// What is wrong is at the source, which is named.
    #[error("the source is damaged: {origin}")]
    Damaged {
        /// Where the bytes are, as [`Blob::origin`] has it.
        origin: String,
        /// What is wrong.
        #[source]
        source: Box<BlobError>,
    },
    /// The bytes have another digest than was said.
    #[error("blob {expected} holds other bytes, of digest {actual}")]
    Digest {
        /// The digest that was said.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
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

    /// Returns where the bytes are, for errors: a file and a place in it, for example.
    fn origin(&self) -> Option<String> {
        None
    }

    /// Returns how many bytes are best read at once by who reads all of it, at least 1: more where each read is a request.
    fn piece(&self) -> u64 {
        PIECE
    }
}

/// Reads all of a blob in order. The bytes are not checked.
pub(crate) fn pieces(blob: &dyn Blob) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + '_ {
    stream::iter(spans(blob)).map(|(offset, length)| blob.read_at(offset, length)).buffered(PIECES)
}

/// As [`pieces`], for as long as anybody wants, with so many of them read at once.
pub(crate) fn owned_pieces(
    blob: Arc<dyn Blob>,
    at_once: usize,
) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static {
    let spans = spans(blob.as_ref());
    let read = move |(offset, length)| {
        let blob = blob.clone();
        async move { blob.read_at(offset, length).await }
    };
    stream::iter(spans).map(read).buffered(at_once.max(1))
}

/// Adds to what is wrong with a blob's bytes where they are.
pub(crate) fn damaged(blob: &dyn Blob, error: BlobError) -> BlobError {
    match (error, blob.origin()) {
        (error @ (BlobError::Size { .. } | BlobError::Digest { .. }), Some(origin)) => {
            BlobError::Damaged { origin, source: error.into() }
        }
        (error, _) => error,
    }
}

/// Cuts a blob into pieces, as they are needed: a manifest may name any size.
fn spans(blob: &dyn Blob) -> impl Iterator<Item = (u64, usize)> + Send + use<> {
    let (size, piece) = (blob.descriptor().size, blob.piece().max(1));
    (0..size.div_ceil(piece)).map(move |number| {
        let offset = number * piece;
        // Reading so much at once would fail in any case.
        (offset, usize::try_from(piece.min(size - offset)).unwrap_or(usize::MAX))
    })
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

/// Checks bytes that come piece by piece against the size and digest that were said of them.
#[derive(Clone, Debug)]
pub struct Verifier {
    digest: Digest,
    size: u64,
    seen: u64,
    digester: Digester,
}

impl Verifier {
    /// Starts a check against `descriptor`.
    pub fn new(descriptor: &Descriptor) -> Self {
        let digest = descriptor.digest.clone();
        let digester = Digester::new(digest.algorithm());
        Self { digest, size: descriptor.size, seen: 0, digester }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`BlobError::Size`] as soon as there are more than was said.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        if self.seen > self.size {
            return Err(self.wrong_size());
        }
        self.digester.update(bytes);
        Ok(())
    }

    /// Ends the check.
    ///
    /// # Errors
    /// [`BlobError::Size`] when bytes are missing, [`BlobError::Digest`] when they are others.
    pub fn finish(self) -> Result<(), BlobError> {
        if self.seen != self.size {
            return Err(self.wrong_size());
        }
        let actual = self.digester.finish();
        if actual == self.digest { Ok(()) } else { Err(BlobError::Digest { expected: self.digest, actual }) }
    }

    fn wrong_size(&self) -> BlobError {
        BlobError::Size { digest: self.digest.clone(), expected: self.size, actual: self.seen }
    }
}

/// Reads a blob once and checks that its bytes have its digest.
///
/// # Errors
/// When the blob cannot be read, or holds other bytes.
///
/// # Cancel safety
/// Has no effect, so that it may be dropped.
pub async fn verify(blob: &dyn Blob) -> Result<(), BlobError> {
    let mut verifier = Verifier::new(blob.descriptor());
    let mut pieces = pin!(pieces(blob));
    while let Some(piece) = pieces.next().await {
        verifier.update(&piece?).map_err(|error| damaged(blob, error))?;
    }
    verifier.finish().map_err(|error| damaged(blob, error))
}

pub(crate) fn within(offset: u64, length: usize, size: u64) -> Result<(), BlobError> {
    match offset.checked_add(length as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(BlobError::Range { offset, length, size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::MediaType;

    fn memory(said: &str, is: &'static str) -> MemoryBlob {
        let descriptor = Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(said), said.len() as u64);
        MemoryBlob::new(descriptor, Bytes::from_static(is.as_bytes()))
    }

    #[tokio::test]
    async fn verifies_a_blob() {
        verify(&memory("content", "content")).await.unwrap();
        assert!(matches!(verify(&memory("content", "consent")).await, Err(BlobError::Digest { .. })));
        assert!(matches!(verify(&memory("content", "con")).await, Err(BlobError::Range { .. })));
    }

    #[test]
    fn a_verifier_notices_too_few_and_too_many_bytes() {
        let descriptor = memory("content", "").descriptor().clone();
        let mut verifier = Verifier::new(&descriptor);
        verifier.update(b"cont").unwrap();
        assert!(matches!(verifier.clone().finish(), Err(BlobError::Size { actual: 4, expected: 7, .. })));
        assert!(matches!(verifier.update(b"entment"), Err(BlobError::Size { actual: 11, .. })));
    }
}
