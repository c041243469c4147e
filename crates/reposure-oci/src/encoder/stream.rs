//! The encoders as a writer.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
};

use super::{
    blocks::Blocks,
    cutter::Cutter,
    frame::{Frames, Table},
    member::Members,
    pool::{Packed, Pool},
    single::{self, Runs, Trailer},
};
use crate::compression::Compression;

/// The length of a piece that becomes a zstd frame, in bytes: twice the window of level 3, which smaller ones would cut short.
const FRAME: usize = 4 << 20;

/// Compresses what is written to it, or lets it pass. Holds two pieces for each of up to [`THREADS`](super::THREADS) threads: of 1 MiB
/// for gzip, of 4 MiB for zstd.
#[derive(Debug)]
pub(crate) struct Encoder<W> {
    out: W,
    /// None where the bytes pass as they are.
    packing: Option<Packing>,
}

/// How pieces are cut, compressed and put together.
#[derive(Debug)]
struct Packing {
    pool: Pool,
    split: Split,
    whole: Whole,
    is_empty: bool,
}

#[derive(Debug)]
enum Split {
    Content(Box<Cutter>),
    Blocks(Blocks),
}

/// What is kept of all pieces, for what comes before or behind them.
#[derive(Debug)]
enum Whole {
    /// Each piece says all of itself.
    Members,
    Member(Trailer),
    Frames(Table),
}

impl<W: Write> Encoder<W> {
    /// Starts a layer that goes to `out`, compressed by `threads` threads, whose number makes no difference to the bytes.
    pub(crate) fn new(mut out: W, compression: Compression, threads: NonZeroUsize) -> io::Result<Self> {
        let blocks = |length| Split::Blocks(Blocks::new(length));
        let (pool, split, whole) = match compression {
            Compression::None => return Ok(Self { out, packing: None }),
            Compression::Gzip(level) => {
                let pool = Pool::new(threads, || Ok(Members::new(level)))?;
                (pool, Split::Content(Box::new(Cutter::new())), Whole::Members)
            }
            Compression::GzipSingleMember(level) => {
                out.write_all(&single::START)?;
                let pool = Pool::new(threads, || Ok(Runs::new(level)))?;
                (pool, blocks(single::PIECE), Whole::Member(Trailer::default()))
            }
            Compression::Zstd(level) => {
                let pool = Pool::new(threads, || Frames::new(level))?;
                (pool, blocks(FRAME), Whole::Frames(Table::default()))
            }
        };
        Ok(Self { out, packing: Some(Packing { pool, split, whole, is_empty: true }) })
    }

    /// Ends the layer and gives `out` back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let Some(mut packing) = self.packing.take() else { return Ok(self.out) };
        let mut rest = packing.split.rest();
        if packing.is_empty {
            rest.push(Vec::new()); // no member would be no gzip, and no frame no zstd
        }
        packing.give(rest, &mut self.out)?;
        while let Some(packed) = packing.pool.next() {
            packing.whole.put(&packed?, &mut self.out)?;
        }
        self.out.write_all(&packing.whole.end()?)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.packing {
            Some(packing) if !bytes.is_empty() => packing.write(bytes, &mut self.out),
            Some(_) => Ok(0),
            None => self.out.write(bytes),
        }
    }

    /// Does nothing: where pieces end is not for the writer to say.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Packing {
    fn write(&mut self, bytes: &[u8], out: &mut impl Write) -> io::Result<usize> {
        self.is_empty = false;
        let (count, pieces) = self.split.take(bytes);
        if let Whole::Member(trailer) = &mut self.whole {
            trailer.add(&bytes[..count]);
        }
        self.give(pieces, out)?;
        Ok(count)
    }

    fn give(&mut self, pieces: Vec<Vec<u8>>, out: &mut impl Write) -> io::Result<()> {
        for piece in pieces {
            if let Some(packed) = self.pool.give(piece) {
                self.whole.put(&packed?, out)?;
            }
        }
        Ok(())
    }
}

impl Split {
    fn take(&mut self, bytes: &[u8]) -> (usize, Vec<Vec<u8>>) {
        match self {
            Self::Content(cutter) => cutter.take(bytes),
            Self::Blocks(blocks) => {
                let (count, piece) = blocks.take(bytes);
                (count, piece.into_iter().collect())
            }
        }
    }

    fn rest(&mut self) -> Vec<Vec<u8>> {
        match self {
            Self::Content(cutter) => cutter.rest(),
            Self::Blocks(blocks) => blocks.rest().into_iter().collect(),
        }
    }
}

impl Whole {
    fn put(&mut self, packed: &Packed, out: &mut impl Write) -> io::Result<()> {
        if let Self::Frames(table) = self {
            table.add(packed)?;
        }
        out.write_all(&packed.bytes)
    }

    fn end(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Members => Ok(Vec::new()),
            Self::Member(trailer) => Ok(trailer.bytes()),
            Self::Frames(table) => table.into_frame(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read as _;

    use flate2::read::{GzDecoder, MultiGzDecoder};
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};
    use tar::EntryType;

    use super::*;
    use crate::{compression::ZstdLevel, digest::Digest, gzip::Level, tarball};

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

    fn gzip(level: u8) -> Compression {
        Compression::Gzip(Level::new(level).unwrap())
    }

    fn single(level: u8) -> Compression {
        Compression::GzipSingleMember(Level::new(level).unwrap())
    }

    fn zstd(level: u8) -> Compression {
        Compression::Zstd(ZstdLevel::new(level).unwrap())
    }

    fn encode(bytes: &[u8], compression: Compression, threads: usize, step: usize) -> Vec<u8> {
        let threads = NonZeroUsize::new(threads).unwrap();
        let mut encoder = Encoder::new(Vec::new(), compression, threads).unwrap();
        bytes.chunks(step).for_each(|piece| encoder.write_all(piece).unwrap());
        encoder.finish().unwrap()
    }

    fn decode(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let mut back = Vec::new();
        match compression {
            Compression::None => back.extend(bytes),
            Compression::Gzip(_) => drop(MultiGzDecoder::new(bytes).read_to_end(&mut back).unwrap()),
            // Stops after the first member.
            Compression::GzipSingleMember(_) => drop(GzDecoder::new(bytes).read_to_end(&mut back).unwrap()),
            Compression::Zstd(_) => drop(zstd::Decoder::new(bytes).unwrap().read_to_end(&mut back).unwrap()),
        }
        back
    }

    /// Whoever has to change these digests has made another encoder, which needs another number.
    #[test]
    fn the_bytes_are_those_of_the_first_encoder() {
        let layer = layer();
        let digests =
            [1, 5, 9].map(|level| Digest::sha256_of(encode(&layer, gzip(level), 2, 1 << 20)).to_string());
        insta::assert_debug_snapshot!(digests, @r#"
        [
            "sha256:8e74c69ff6c4b922cc972d4e8feef246ddf5fab55809f07489cf7ab586508b56",
            "sha256:db5b64973c666acd7c71f6bedac7853dc7bdbed51af7a08c2637c735205b5d8c",
            "sha256:b6cc79901f050d23b74855e8678b7390aab0d2caeae836ed2d24cf9b3fa321fd",
        ]
        "#);
    }

    /// Whoever has to change these digests has another version of zlib-rs, whose blocks are others.
    #[test]
    fn the_bytes_of_a_single_member_are_the_same_everywhere() {
        let layer = layer();
        let digests =
            [1, 5, 9].map(|level| Digest::sha256_of(encode(&layer, single(level), 2, 1 << 20)).to_string());
        insta::assert_debug_snapshot!(digests, @r#"
        [
            "sha256:e6fa4a92128ce808873a1387a6ebcf8731f0c088a3d309454cd55ce92db376cb",
            "sha256:f51accc258b992f44f5ec60d98a2268e6f40610a649108c423b06fe794569fc2",
            "sha256:d30503b122b11fca9ab928abe5d3007299c50e322fffa99d938b4834c068eb00",
        ]
        "#);
    }

    #[test]
    fn the_bytes_are_those_of_the_first_encoder_of_zstd() {
        // More than two frames, the second one of another content than the first.
        let layer = layer().repeat(3);
        for threads in [1, 2, 5, 40] {
            let digest = Digest::sha256_of(encode(&layer, Compression::ZSTD, threads, 1 << 20));
            insta::allow_duplicates! {
                insta::assert_snapshot!(digest, @"sha256:c90eaf96330cc95a937ba036cdb528b9d9f4873960a9e030030435cdd4ac15e4");
            }
        }
        assert_eq!(zstd::zstd_safe::version_string(), "1.5.7", "the library is part of the name");
    }

    #[test]
    fn threads_and_portions_make_no_difference() {
        let layer = layer().repeat(2);
        for compression in [gzip(6), single(6), zstd(3), Compression::None] {
            let expected = encode(&layer, compression, 1, usize::MAX >> 1);
            assert!(decode(&expected, compression) == layer, "{compression}");
            for (threads, step) in [(1, 1000), (2, 4096), (7, 1 << 20), (40, 1 << 20)] {
                let encoded = encode(&layer, compression, threads, step);
                assert!(encoded == expected, "{compression} {threads} {step}");
            }
        }
    }

    #[test]
    fn a_layer_of_zstd_is_walked_by_the_table_at_its_end() {
        let layer = layer().repeat(3);
        let encoded = encode(&layer, Compression::ZSTD, 2, 1 << 16);
        let (rest, end) = encoded.split_at(encoded.len() - 4);
        assert_eq!(end, b"RPZ1");
        let (rest, count) = rest.split_at(rest.len() - 4);
        let count = u32::from_le_bytes(count.try_into().unwrap()) as usize;
        assert_eq!(count, layer.len().div_ceil(FRAME));
        let (frames, entries) = rest.split_at(rest.len() - 20 * count);
        let (mut frames, head) = frames.split_at(frames.len() - 8);
        assert_eq!(head[..4], [0x52, 0x2a, 0x4d, 0x18]);
        assert_eq!(u32::from_le_bytes(head[4..].try_into().unwrap()) as usize, entries.len() + 8);
        for (entry, plain) in entries.chunks(20).zip(layer.chunks(FRAME)) {
            let length = u32::from_le_bytes(entry[..4].try_into().unwrap()) as usize;
            let (frame, rest) = frames.split_at(length);
            assert_eq!(zstd::zstd_safe::get_frame_content_size(frame).unwrap(), Some(plain.len() as u64));
            assert!(zstd::bulk::decompress(frame, FRAME).unwrap() == plain);
            assert_eq!(entry[4..], Sha256::digest(plain)[..16]);
            frames = rest;
        }
        assert!(frames.is_empty());
    }

    #[test]
    fn damage_in_a_frame_is_noticed() {
        let layer = noise(1, 100_000);
        let mut encoded = encode(&layer, Compression::ZSTD, 1, 1 << 16);
        encoded[50_000] ^= 1;
        let mut back = Vec::new();
        zstd::Decoder::new(encoded.as_slice()).unwrap().read_to_end(&mut back).unwrap_err();
    }

    #[test]
    fn a_layer_is_walked_by_the_lengths_in_its_members() {
        let encoded = encode(&layer(), gzip(6), 2, 1 << 16);
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
        for compression in [gzip(6), single(6), zstd(3)] {
            let encoded = encode(b"", compression, 2, 1);
            assert!(!encoded.is_empty() && decode(&encoded, compression).is_empty(), "{compression}");
        }
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
        let mut encoder = Encoder::new(Full, Compression::default(), threads).unwrap();
        let error = encoder.write_all(&noise(1, 20 << 20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn compressing_is_lossless(seed: u64, length in 0usize..3_000_000, level in 1u8..=9) {
            let bytes = noise(seed, length);
            for compression in [gzip(level), single(level), zstd(level)] {
                prop_assert!(decode(&encode(&bytes, compression, 2, 1 << 18), compression) == bytes);
            }
        }
    }
}
