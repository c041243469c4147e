//! `--compression` and what belongs to it.

use std::ops::RangeInclusive;

use clap::{Args, ValueEnum};
use reposure_oci::{Compression, ZstdLevel, gzip};

use crate::exit::{Failure, Kind};

/// How layers are compressed that are not yet.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CompressionArgs {
    /// How layers are compressed that are not yet; those of OCI images go as they are
    #[arg(long, value_name = "FORMAT", default_value = "gzip")]
    compression: Format,
    /// How hard it is tried: 1 to 9 for gzip, 5 by default; 1 to 19 for zstd, 3 by default
    ///
    /// At the default levels the same layer gives the same bytes on every machine; at others that is not promised.
    #[arg(long, value_name = "N")]
    compression_level: Option<u8>,
    /// Gzip of a single member, for readers that stop after the first one, such as igzip up to 2.29
    #[arg(long)]
    compression_single_member: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What every registry and runtime takes
    Gzip,
    /// Smaller and several times faster; the image becomes an OCI image. containerd takes it since 1.5, Docker since 23
    Zstd,
    /// Not at all
    None,
}

impl CompressionArgs {
    pub(crate) fn compression(self) -> Result<Compression, Failure> {
        if self.compression_single_member && self.compression != Format::Gzip {
            return Err(usage("--compression-single-member goes with --compression gzip"));
        }
        match self.compression {
            Format::Gzip => self.gzip(),
            Format::Zstd => self.level(ZstdLevel::new, 1..=19).map(Compression::Zstd),
            Format::None if self.compression_level.is_some() => {
                Err(usage("--compression-level goes with --compression gzip or zstd"))
            }
            Format::None => Ok(Compression::None),
        }
    }

    fn gzip(self) -> Result<Compression, Failure> {
        let level = self.level(gzip::Level::new, 1..=9)?;
        let single = self.compression_single_member;
        Ok(if single { Compression::GzipSingleMember(level) } else { Compression::Gzip(level) })
    }

    fn level<L: Default>(
        self,
        make: impl Fn(u8) -> Option<L>,
        range: RangeInclusive<u8>,
    ) -> Result<L, Failure> {
        let Some(level) = self.compression_level else { return Ok(L::default()) };
        make(level).ok_or_else(|| {
            usage(&format!("--compression-level {level} is none of {} to {}", range.start(), range.end()))
        })
    }
}

fn usage(message: &str) -> Failure {
    Failure::new(Kind::Usage, message)
}
