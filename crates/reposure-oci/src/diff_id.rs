//! The digest of a layer's uncompressed tar.
//!
//! See the [image specification, "Layer DiffID"](https://github.com/opencontainers/image-spec/blob/main/config.md#layer-diffid).

use std::io::{self, BufRead as _, BufReader, Read};

use bytes::{Buf as _, Bytes};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::{JoinError, JoinHandle},
};

use crate::{
    decompress::decompress,
    digest::{Algorithm, Digest, Digester},
    gzip::Format,
};

/// How many pieces may wait for the thread that decompresses.
const WAITING: usize = 2;
/// How much is hashed at once, in bytes: what stays in a core's cache.
const READ: usize = 256 << 10;

/// Why a layer has no diff ID.
#[derive(Debug, thiserror::Error)]
pub enum DiffIdError {
    /// The layer cannot be decompressed.
    #[error("the layer cannot be decompressed")]
    Decompress(#[source] io::Error),
    /// The thread that decompresses ended early.
    #[error("the layer's decompression was broken off")]
    Broken(#[source] JoinError),
}

/// Computes the diff ID of a layer that comes piece by piece, compressed by any format that is known here or by none.
///
/// The work is done on a thread of its own, which ends with this.
#[derive(Debug)]
pub struct DiffIdDigester {
    pieces: Sender<Bytes>,
    thread: JoinHandle<io::Result<Digest>>,
}

impl DiffIdDigester {
    /// Starts a digest; must be called within a runtime.
    pub fn new(algorithm: Algorithm) -> Self {
        let (pieces, waiting) = mpsc::channel(WAITING);
        let thread = tokio::task::spawn_blocking(move || digest(waiting, algorithm));
        Self { pieces, thread }
    }

    /// Adds compressed bytes; waits while the thread is behind.
    ///
    /// # Cancel safety
    /// None: the bytes may have been added or not.
    pub async fn update(&self, piece: Bytes) {
        // A thread that has ended says why in the end.
        let _ = self.pieces.send(piece).await;
    }

    /// Ends the digest.
    ///
    /// # Errors
    /// When the layer cannot be decompressed, or ends early.
    pub async fn finish(self) -> Result<Digest, DiffIdError> {
        drop(self.pieces);
        self.thread.await.map_err(DiffIdError::Broken)?.map_err(DiffIdError::Decompress)
    }
}

fn digest(pieces: Receiver<Bytes>, algorithm: Algorithm) -> io::Result<Digest> {
    let mut reader = BufReader::with_capacity(READ, Pieces { pieces, piece: Bytes::new() });
    let format = Format::of(reader.fill_buf()?);
    let mut plain: Box<dyn Read> = match format {
        Some(format) => decompress(format, reader)?,
        None => Box::new(reader),
    };
    let (mut digester, mut buffer) = (Digester::new(algorithm), vec![0; READ]);
    loop {
        match plain.read(&mut buffer) {
            Ok(0) => return Ok(digester.finish()),
            Ok(count) => digester.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads pieces one after the other.
struct Pieces {
    pieces: Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing::{compress, compress_by, layer};

    async fn diff_id(layer: &[u8], algorithm: Algorithm) -> Result<Digest, DiffIdError> {
        let digester = DiffIdDigester::new(algorithm);
        for piece in layer.chunks(7) {
            digester.update(Bytes::copy_from_slice(piece)).await;
        }
        digester.finish().await
    }

    #[tokio::test]
    async fn is_that_of_the_plain_tar() {
        let tar = layer("content");
        for packed in [tar.clone(), compress(&tar), compress_by(Format::Zstd, &tar)] {
            assert_eq!(diff_id(&packed, Algorithm::Sha256).await.unwrap(), Digest::sha256_of(&tar));
        }
        let mut digester = Digester::new(Algorithm::Sha512);
        digester.update(&tar);
        assert_eq!(diff_id(&compress(&tar), Algorithm::Sha512).await.unwrap(), digester.finish());
    }

    #[tokio::test]
    async fn a_damaged_layer_has_none() {
        let mut packed = compress(&layer(&"content".repeat(1000)));
        let cut = diff_id(&packed[..packed.len() - 5], Algorithm::Sha256).await;
        assert!(matches!(cut, Err(DiffIdError::Decompress(_))), "{cut:?}");
        let end = packed.len() - 6;
        packed[end] ^= 1;
        assert!(matches!(diff_id(&packed, Algorithm::Sha256).await, Err(DiffIdError::Decompress(_))));
    }
}
