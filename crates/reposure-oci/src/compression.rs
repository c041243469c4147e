//! How layers are compressed.

use std::fmt;

use crate::{gzip::Level, media_type::MediaType};

/// How layers that are not compressed yet are compressed. Those that are go as they are.
///
/// Gzip and zstd at their default levels are encoders with a name, which give the same bytes on every machine and with any number
/// of threads: see [`Compression::encoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Gzip of many members, which are compressed in parallel.
    Gzip(Level),
    /// Gzip of one member, for readers that stop after the first: igzip up to 2.29 is one. It is compressed in parallel too.
    GzipSingleMember(Level),
    /// Zstandard of many frames, which are compressed in parallel.
    Zstd(ZstdLevel),
}

impl Compression {
    /// Gzip as `reposure-gzip/1` makes it.
    pub const GZIP: Self = Self::Gzip(Level::DEFAULT);
    /// Zstandard as `reposure-zstd/1` makes it.
    pub const ZSTD: Self = Self::Zstd(ZstdLevel::DEFAULT);

    /// Returns the name of the encoder, if these settings are those of one. The name stands for the bytes: it has another number
    /// where they are others.
    pub fn encoder(self) -> Option<&'static str> {
        match self {
            Self::GZIP => Some("reposure-gzip/1"),
            Self::ZSTD => Some("reposure-zstd/1"),
            _ => None,
        }
    }

    /// Returns the media type of layers that are compressed so, in an OCI image.
    pub(crate) const fn layer_type(self) -> MediaType {
        match self {
            Self::None => MediaType::OCI_LAYER,
            Self::Gzip(_) | Self::GzipSingleMember(_) => MediaType::OCI_LAYER_GZIP,
            Self::Zstd(_) => MediaType::OCI_LAYER_ZSTD,
        }
    }
}

impl Default for Compression {
    /// [`Compression::GZIP`], which everybody reads.
    fn default() -> Self {
        Self::GZIP
    }
}

/// The encoder's name, or else the settings in words.
impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.encoder(), self) {
            (Some(name), _) => formatter.write_str(name),
            (None, Self::None) => formatter.write_str("none"),
            (None, Self::Gzip(level)) => write!(formatter, "gzip-{}", level.get()),
            (None, Self::GzipSingleMember(level)) => write!(formatter, "gzip-single-{}", level.get()),
            (None, Self::Zstd(level)) => write!(formatter, "zstd-{}", level.get()),
        }
    }
}

/// How hard zstd tries, from 1 (fast) to 19 (small): what zstd itself offers without `--ultra`, whose levels take hundreds of MiB
/// for each thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZstdLevel(u8);

impl ZstdLevel {
    const DEFAULT: Self = Self(3);

    /// Takes a level, unless it is none of 1 to 19.
    pub const fn new(level: u8) -> Option<Self> {
        if 1 <= level && level <= 19 { Some(Self(level)) } else { None }
    }

    /// Returns the level.
    pub(crate) const fn get(self) -> u8 {
        self.0
    }
}

impl Default for ZstdLevel {
    /// 3, as in zstd itself.
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_encoders_own_levels_have_a_name() {
        let gzip = |level| Compression::Gzip(Level::new(level).unwrap());
        let zstd = |level| Compression::Zstd(ZstdLevel::new(level).unwrap());
        let single = Compression::GzipSingleMember(Level::default());
        let all = [gzip(5), gzip(9), zstd(3), zstd(19), single, Compression::None];
        let names = all.map(Compression::encoder);
        assert_eq!(names, [Some("reposure-gzip/1"), None, Some("reposure-zstd/1"), None, None, None]);
        let shown = all.map(|compression| compression.to_string()).join(" ");
        assert_eq!(shown, "reposure-gzip/1 gzip-9 reposure-zstd/1 zstd-19 gzip-single-5 none");
        assert_eq!(Compression::default(), gzip(5));
    }

    #[test]
    fn levels_are_those_of_zstd() {
        assert_eq!(ZstdLevel::new(0), None);
        assert_eq!(ZstdLevel::new(20), None);
        assert_eq!(ZstdLevel::new(3), Some(ZstdLevel::default()));
    }
}
