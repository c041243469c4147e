//! Compressed formats by their magic bytes, and how hard gzip tries.
//!
//! See [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952) for gzip.

use std::fmt;

/// A compressed format, known by the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// gzip.
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
pub struct Level(u8);

impl Level {
    pub(crate) const DEFAULT: Self = Self(5);

    /// Takes a level, unless it is none of 1 to 9.
    pub const fn new(level: u8) -> Option<Self> {
        if 1 <= level && level <= 9 { Some(Self(level)) } else { None }
    }

    /// Returns the level.
    pub(crate) const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Level {
    /// 5: see the encoder, whose name stands for it.
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_gzip() {
        assert_eq!(Level::new(0), None);
        assert_eq!(Level::new(10), None);
        assert_eq!(Level::new(5), Some(Level::default()));
    }

    #[test]
    fn short_and_plain_bytes_are_of_no_format() {
        for bytes in [&b""[..], b"\x1f", b"\x1f\x8b", b"BZ", b"plain text"] {
            assert_eq!(Format::of(bytes), None, "{bytes:?}");
        }
    }
}
