//! A piece as a gzip member that describes itself.
//!
//! The header has a subfield `RP` in its extra field ([RFC 1952, section 2.3.1.1](https://www.rfc-editor.org/rfc/rfc1952#page-8)):
//! the length of the whole member in bytes, little-endian in 4 bytes, and the first 16 bytes of the SHA-256 of the plain bytes.
//! Readers that do not know it skip it; one that does walks from member to member without unpacking any.

use std::io;

use libdeflater::{CompressionLvl, Compressor, crc32};

use super::pool::{Pack, Packed, sum};
use crate::gzip::Level;

/// What every member starts with: magic, deflate, an extra field and nothing else; no time; no statement on effort; no system.
const START: [u8; 10] = [0x1f, 0x8b, 8, 1 << 2, 0, 0, 0, 0, 0, 255];
/// The subfield's name.
const NAME: [u8; 2] = *b"RP";
/// The length of the subfield's content.
const SUBFIELD: u16 = 20;
/// The length of a header, with the subfield's name and both lengths.
const HEADER: usize = START.len() + 2 + 4 + SUBFIELD as usize;
/// The length of what ends a member: CRC-32 and length of the plain bytes.
const TRAILER: usize = 8;

/// Makes members; keeps libdeflate's tables from one to the next.
pub(super) struct Members(Compressor);

impl Members {
    pub(super) fn new(level: Level) -> Self {
        // libdeflate has gzip's levels, and some more.
        Self(Compressor::new(CompressionLvl::new(level.get().into()).unwrap_or_default()))
    }
}

impl Pack for Members {
    fn pack(&mut self, plain: &[u8]) -> io::Result<Packed> {
        let mut member = vec![0; HEADER + self.0.deflate_compress_bound(plain.len()) + TRAILER];
        let deflated = self.0.deflate_compress(plain, &mut member[HEADER..]).map_err(io::Error::other)?;
        member.truncate(HEADER + deflated);
        member.extend(crc32(plain).to_le_bytes());
        member.extend(length(plain.len())?.to_le_bytes());
        let (total, sum) = (length(member.len())?, sum(plain));
        let header = [
            &START[..],
            &(SUBFIELD + 4).to_le_bytes(),
            &NAME,
            &SUBFIELD.to_le_bytes(),
            &total.to_le_bytes(),
            &sum,
        ];
        member[..HEADER].copy_from_slice(&header.concat());
        Ok(Packed { bytes: member, sum })
    }
}

/// A piece is far shorter than that.
fn length(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    proptest! {
        #[test]
        fn a_member_holds_its_piece_and_says_so(plain in proptest::collection::vec(any::<u8>(), 0..5000), level in 1u8..=9) {
            let member = Members::new(Level::new(level).unwrap()).pack(&plain).unwrap().bytes;
            let mut decoder = GzDecoder::new(member.as_slice());
            let mut back = Vec::new();
            decoder.read_to_end(&mut back).unwrap();
            prop_assert_eq!(&back, &plain);
            let extra = decoder.header().unwrap().extra().unwrap();
            prop_assert_eq!(&extra[..4], b"RP\x14\0");
            prop_assert_eq!(extra[4..8].to_vec(), u32::try_from(member.len()).unwrap().to_le_bytes().to_vec());
            prop_assert_eq!(extra[8..].to_vec(), Sha256::digest(&plain)[..16].to_vec());
        }
    }
}
