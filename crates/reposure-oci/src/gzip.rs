//! Compressed formats by their magic bytes, and gzip streams that are the same for the same content.
//!
//! See [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952) for gzip.

use std::{fmt, io::Write};

use flate2::{Compression, GzBuilder, write::GzEncoder};

/// A compressed format, known by the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// gzip, the only one that is decompressed here.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
}

impl Format {
    /// The number of bytes that [`Format::of`] needs to see.
    pub const MAGIC_LENGTH: usize = 6;

    /// Tells the format by the first bytes; `None` for uncompressed bytes and any other format.
    pub fn of(head: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Format); 4] = [
            (&[0x1f, 0x8b, 0x08], Format::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Format::Zstd),
            (&[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], Format::Xz),
            (b"BZh", Format::Bzip2),
        ];
        MAGIC.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, format)| format)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        })
    }
}

/// How hard gzip tries, from 1 (fast) to 9 (small).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(u32);

impl Level {
    /// Takes a level, unless it is none of 1 to 9.
    pub const fn new(level: u32) -> Option<Self> {
        if 1 <= level && level <= 9 { Some(Self(level)) } else { None }
    }
}

impl Default for Level {
    /// 6, as in gzip itself.
    fn default() -> Self {
        Self(6)
    }
}

/// Starts one gzip stream with no name and no time in its header, so that the same content gives the same bytes.
pub(crate) fn encoder<W: Write>(out: W, level: Level) -> GzEncoder<W> {
    GzBuilder::new().mtime(0).write(out, Compression::new(level.0))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn compress(bytes: &[u8], level: Level) -> Vec<u8> {
        let mut encoder = encoder(Vec::new(), level);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_header_has_neither_name_nor_time() {
        let bytes = compress(b"content", Level::default());
        assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
        assert_eq!(Format::of(&bytes), Some(Format::Gzip));
    }

    #[test]
    fn levels_are_those_of_gzip() {
        assert_eq!(Level::new(0), None);
        assert_eq!(Level::new(10), None);
        assert_eq!(Level::new(6), Some(Level::default()));
    }

    #[test]
    fn short_and_plain_bytes_are_of_no_format() {
        for bytes in [&b""[..], b"\x1f", b"\x1f\x8b", b"BZ", b"plain text"] {
            assert_eq!(Format::of(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn compressing_is_lossless_and_repeatable(bytes in proptest::collection::vec(any::<u8>(), 0..5000), level in 1u32..=9) {
            let level = Level::new(level).unwrap();
            let compressed = compress(&bytes, level);
            let mut back = Vec::new();
            MultiGzDecoder::new(compressed.as_slice()).read_to_end(&mut back).unwrap();
            prop_assert_eq!(&back, &bytes);
            prop_assert_eq!(compress(&bytes, level), compressed);
        }
    }
}
