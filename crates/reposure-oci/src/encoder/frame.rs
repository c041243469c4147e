//! A piece as a zstd frame, and the frame at the end that says what the others hold.
//!
//! The last frame is a skippable one ([RFC 8878, section 3.1.2](https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2)), which
//! every reader skips. It holds 20 bytes for each frame before it, in their order: its length, little-endian in 4 bytes, and the
//! first 16 bytes of the SHA-256 of its plain bytes. What ends it is the number of frames in 4 bytes and `RPZ1`, so that whoever
//! reads the last 8 bytes of a blob knows where to find the rest.

use std::io;

use zstd::{bulk::Compressor, zstd_safe::CParameter};

use super::pool::{Pack, Packed, sum};
use crate::compression::ZstdLevel;

/// The magic number of the skippable frame: one of the sixteen, and none that pzstd (0) or the seekable format (14) takes.
const SKIPPABLE: u32 = 0x184d_2a52;
/// What ends the table.
const END: [u8; 4] = *b"RPZ1";

/// Makes frames; keeps zstd's tables from one to the next.
pub(super) struct Frames(Compressor<'static>);

impl Frames {
    pub(super) fn new(level: ZstdLevel) -> io::Result<Self> {
        let mut compressor = Compressor::new(level.get().into())?;
        // 4 bytes for each piece, by which `zstd -t` and every reader notice damage where it is.
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
        Ok(Self(compressor))
    }
}

impl Pack for Frames {
    fn pack(&mut self, plain: &[u8]) -> io::Result<Packed> {
        let mut bytes = self.0.compress(plain)?;
        // A buffer of the worst case would be kept until the frame is written.
        bytes.shrink_to_fit();
        Ok(Packed { bytes, sum: sum(plain) })
    }
}

/// What the frames hold.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<u8>,
    count: u32,
}

impl Table {
    /// Adds a frame.
    pub(super) fn add(&mut self, frame: &Packed) -> io::Result<()> {
        let length = u32::try_from(frame.bytes.len()).map_err(io::Error::other)?;
        self.entries.extend(length.to_le_bytes());
        self.entries.extend(frame.sum);
        self.count += 1;
        Ok(())
    }

    /// Makes the frame that ends a layer.
    pub(super) fn into_frame(self) -> io::Result<Vec<u8>> {
        let length = self.entries.len() + size_of_val(&self.count) + END.len();
        // 4 GiB of table would be a layer of 800 TiB.
        let length = u32::try_from(length).map_err(io::Error::other)?;
        let (magic, length) = (SKIPPABLE.to_le_bytes(), length.to_le_bytes());
        Ok([&magic[..], &length, &self.entries, &self.count.to_le_bytes(), &END].concat())
    }
}
