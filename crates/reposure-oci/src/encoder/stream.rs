//! The encoder as a writer.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
};

use super::{cutter::Cutter, pool::Pool};
use crate::gzip::Level;

/// Compresses what is written to it. Holds some MiB for each thread.
#[derive(Debug)]
pub(crate) struct GzipEncoder<W> {
    out: W,
    cutter: Cutter,
    pool: Pool,
    is_empty: bool,
}

impl<W: Write> GzipEncoder<W> {
    /// Starts a layer that goes to `out`, compressed by `threads` threads, whose number makes no difference to the bytes.
    pub(crate) fn new(out: W, level: Level, threads: NonZeroUsize) -> io::Result<Self> {
        Ok(Self { out, cutter: Cutter::new(), pool: Pool::new(level, threads)?, is_empty: true })
    }

    /// Ends the layer and gives `out` back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let mut rest = self.cutter.rest();
        if self.is_empty {
            rest.push(Vec::new()); // no member would be no gzip
        }
        self.give(rest)?;
        while let Some(member) = self.pool.next() {
            self.out.write_all(&member?)?;
        }
        Ok(self.out)
    }

    fn give(&mut self, pieces: Vec<Vec<u8>>) -> io::Result<()> {
        for piece in pieces {
            if let Some(member) = self.pool.give(piece) {
                self.out.write_all(&member?)?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for GzipEncoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.is_empty = false;
        let (count, pieces) = self.cutter.take(bytes);
        self.give(pieces)?;
        Ok(count)
    }

    /// Does nothing: where members end is not for the writer to say.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;
    use proptest::prelude::*;
    use tar::EntryType;

    use super::*;
    use crate::{digest::Digest, tarball};

    /// Bytes that are the same for the same seed on every machine, half of them compressible.
    pub(in crate::encoder) fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut bytes = Vec::with_capacity(length + 16);
        while bytes.len() < length {
            let word = next().to_le_bytes();
            bytes.extend(word);
            bytes.extend([word[0]; 8]);
        }
        bytes.truncate(length);
        bytes
    }

    /// A tar with small and large files.
    fn layer() -> Vec<u8> {
        let mut tar = Vec::new();
        for (seed, size) in [(1, 10), (2, 70_000), (3, 3_000_000), (4, 0), (5, 1000), (6, 65_536)] {
            tar.extend(tarball::header(EntryType::Regular, "file", size as u64, 0o644).unwrap());
            tar.extend(noise(seed, size));
            tar.extend(&tarball::END[..tarball::padding(size as u64)]);
        }
        tar.extend(tarball::END);
        tar
    }

    fn encode(bytes: &[u8], level: u8, threads: usize, step: usize) -> Vec<u8> {
        let threads = NonZeroUsize::new(threads).unwrap();
        let mut encoder = GzipEncoder::new(Vec::new(), Level::new(level).unwrap(), threads).unwrap();
        bytes.chunks(step).for_each(|piece| encoder.write_all(piece).unwrap());
        encoder.finish().unwrap()
    }

    fn decode(bytes: &[u8]) -> Vec<u8> {
        let mut back = Vec::new();
        MultiGzDecoder::new(bytes).read_to_end(&mut back).unwrap();
        back
    }

    /// Whoever has to change these digests has made another encoder, which needs another number.
    #[test]
    fn the_bytes_are_those_of_the_first_encoder() {
        let layer = layer();
        let digests = [1, 6, 9].map(|level| Digest::sha256_of(encode(&layer, level, 2, 1 << 20)).to_string());
        insta::assert_debug_snapshot!(digests, @r#"
        [
            "sha256:8e74c69ff6c4b922cc972d4e8feef246ddf5fab55809f07489cf7ab586508b56",
            "sha256:29998e2aad2cacca0eaed66175bde666c315fd09703f57ffe8591a1f5f217c5a",
            "sha256:b6cc79901f050d23b74855e8678b7390aab0d2caeae836ed2d24cf9b3fa321fd",
        ]
        "#);
    }

    #[test]
    fn threads_and_portions_make_no_difference() {
        let layer = layer();
        let expected = encode(&layer, 6, 1, usize::MAX >> 1);
        assert!(decode(&expected) == layer);
        for (threads, step) in [(1, 1000), (2, 4096), (7, 1 << 20)] {
            assert!(encode(&layer, 6, threads, step) == expected, "{threads} {step}");
        }
    }

    #[test]
    fn a_layer_is_walked_by_the_lengths_in_its_members() {
        let encoded = encode(&layer(), 6, 2, 1 << 16);
        let (mut at, mut members) = (0, 0);
        while at < encoded.len() {
            assert_eq!(encoded[at..at + 4], [0x1f, 0x8b, 8, 4]);
            let length: [u8; 4] = encoded[at + 16..at + 20].try_into().unwrap();
            at += usize::try_from(u32::from_le_bytes(length)).unwrap();
            members += 1;
        }
        assert_eq!(at, encoded.len());
        assert!(members > 8, "{members}");
    }

    #[test]
    fn nothing_is_a_stream_too() {
        let encoded = encode(b"", 6, 2, 1);
        assert!(!encoded.is_empty() && decode(&encoded).is_empty());
    }

    #[test]
    fn an_output_that_fails_ends_it() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let threads = NonZeroUsize::new(2).unwrap();
        let mut encoder = GzipEncoder::new(Full, Level::default(), threads).unwrap();
        let error = encoder.write_all(&noise(1, 20 << 20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn compressing_is_lossless(seed: u64, length in 0usize..3_000_000, level in 1u8..=9) {
            let bytes = noise(seed, length);
            prop_assert!(decode(&encode(&bytes, level, 2, 1 << 18)) == bytes);
        }
    }
}
