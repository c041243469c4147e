//! Pieces of one gzip member, for readers that stop after the first member.
//!
//! Each piece is a run of deflate blocks that ends at a byte's boundary, as pigz makes them; what ends the last block, and the sums
//! over the whole, come at the end.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};
use libdeflater::Crc;

use super::pool::{Pack, Packed, Sum};
use crate::gzip::Level;

/// The length of a piece in bytes: what is lost where one begins does not show any more.
pub(super) const PIECE: usize = 1 << 20;
/// What the member starts with: magic, deflate, nothing else; no time; no statement on effort; no system.
pub(super) const START: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The last block of deflate: a final one of fixed codes that ends at once.
const LAST: [u8; 2] = [3, 0];

/// Makes runs of blocks.
pub(super) struct Runs(Compress);

impl Runs {
    pub(super) fn new(level: Level) -> Self {
        Self(Compress::new(Compression::new(level.get().into()), false))
    }
}

impl Pack for Runs {
    fn pack(&mut self, plain: &[u8]) -> io::Result<Packed> {
        self.0.reset();
        // Level 1 may write a byte in 9 bits; the rest is for what ends the run.
        let mut bytes = Vec::with_capacity(plain.len() + plain.len() / 4 + 1024);
        let status = self.0.compress_vec(plain, &mut bytes, FlushCompress::Sync).map_err(io::Error::other)?;
        let is_whole = self.0.total_in() == plain.len() as u64 && bytes.len() < bytes.capacity();
        if status != Status::Ok || !is_whole {
            return Err(io::Error::other("deflate left some of a piece"));
        }
        bytes.shrink_to_fit();
        Ok(Packed { bytes, sum: Sum::default() })
    }
}

/// What a member says of its plain bytes at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trailer {
    crc: u32,
    /// Modulo 2^32, as the format has it.
    length: u32,
}

impl Trailer {
    pub(super) fn add(&mut self, plain: &[u8]) {
        let mut crc = Crc::with_initial(self.crc);
        crc.update(plain);
        self.crc = crc.sum();
        // The low 32 bits are what is meant.
        #[allow(clippy::cast_possible_truncation, reason = "the length is kept modulo 2^32")]
        let length = plain.len() as u32;
        self.length = self.length.wrapping_add(length);
    }

    /// Makes what ends the member.
    pub(super) fn bytes(self) -> Vec<u8> {
        [&LAST[..], &self.crc.to_le_bytes(), &self.length.to_le_bytes()].concat()
    }
}
