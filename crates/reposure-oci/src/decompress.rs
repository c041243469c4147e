//! Reading what is compressed, in every format that is known here.

use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    rc::Rc,
};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::{
    bufread::XzDecoder,
    stream::{CONCATENATED, Stream},
};
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::gzip::Format;

/// The most memory that a decompressor of xz may ask for, in bytes: `xz -9` takes 65 MiB; what asks for 4 GiB is no archive
/// that anybody made in good faith. Zstandard's own limit is a window of 128 MiB, as `zstd -d` has it.
const MEMORY_LIMIT: u64 = 256 << 20;

/// How much comes out of any few bytes, in bytes: more than a layer usually has, and no more than minutes of work.
const PLAIN: u64 = 16 << 30;
/// How much may come out of each byte beyond that, in bytes: gzip's most is 1032. Of Zstandard, 4 bytes can give 128 KiB, so that a
/// layer of 1 GiB could take days.
const RATIO: u64 = 1100;

/// More comes out of few bytes than anybody has made in good faith. This comes as the source of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{packed} bytes become more than {plain} when decompressed: this is taken for an attack")]
struct Bomb {
    packed: u64,
    plain: u64,
}

/// Decompresses `reader`: all members, streams and frames that follow each other, as the tools of each format do.
///
/// # Errors
/// When the decompressor cannot be made. Reading fails where the bytes are damaged, or end early, and where far too much comes out.
pub(crate) fn decompress<'a>(format: Format, reader: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let packed = Rc::new(Cell::new(0));
    let reader = Counted { reader, count: packed.clone() };
    let reader = decoder(format, reader)?;
    Ok(Box::new(Bounded { reader, packed, plain: 0, limit: PLAIN }))
}

fn decoder<'a>(format: Format, reader: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match format {
        Format::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Format::Zstd => Box::new(ZstdDecoder::with_buffer(reader)?),
        Format::Xz => {
            let stream = Stream::new_stream_decoder(MEMORY_LIMIT, CONCATENATED).map_err(io::Error::other)?;
            Box::new(XzDecoder::new_stream(reader, stream))
        }
        Format::Bzip2 => Box::new(MultiBzDecoder::new(reader)),
    })
}

/// Counts what a decompressor takes.
struct Counted<R> {
    reader: R,
    count: Rc<Cell<u64>>,
}

impl<R> Counted<R> {
    fn add(&self, count: usize) {
        self.count.set(self.count.get().saturating_add(count as u64));
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.add(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.add(count);
        self.reader.consume(count);
    }
}

/// Ends where too much comes out for what went in.
struct Bounded<R> {
    reader: R,
    packed: Rc<Cell<u64>>,
    plain: u64,
    /// How much comes out in any case, in bytes.
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.plain = self.plain.saturating_add(count as u64);
        let packed = self.packed.get();
        let plain = self.limit.max(packed.saturating_mul(RATIO));
        if self.plain > plain {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Bomb { packed, plain }));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing;

    const FORMATS: [Format; 4] = [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2];

    fn read(format: Format, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompress(format, bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn all_that_follows_is_read() {
        for format in FORMATS {
            let twice =
                [testing::compress_by(format, b"one "), testing::compress_by(format, b"two")].concat();
            assert_eq!(Format::of(&twice), Some(format));
            assert_eq!(read(format, &twice).unwrap(), b"one two", "{format}");
        }
    }

    #[test]
    fn what_ends_early_or_is_damaged_is_an_error() {
        let plain = testing::layer(&"content ".repeat(1000));
        for format in FORMATS {
            let whole = testing::compress_by(format, &plain);
            for length in (6..whole.len()).step_by(7) {
                assert!(read(format, &whole[..length]).is_err(), "{format} of {length} bytes");
            }
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 1;
            assert!(read(format, &flipped).is_err(), "{format}");
        }
    }

    #[test]
    fn what_comes_out_is_bounded() {
        let zeros = vec![0; 4 << 20];
        let bounded = |format, limit| {
            let bytes = testing::compress_by(format, &zeros);
            let packed = Rc::new(Cell::new(0));
            let reader = decoder(format, Counted { reader: &bytes[..], count: packed.clone() }).unwrap();
            let count =
                io::copy(&mut Bounded { reader, packed: packed.clone(), plain: 0, limit }, &mut io::sink());
            count.map(|count| (count, packed.get() == bytes.len() as u64))
        };
        for format in FORMATS {
            assert_eq!(bounded(format, 4 << 20).unwrap(), (4 << 20, true), "{format}");
        }
        assert_eq!(bounded(Format::Gzip, 256 << 10).unwrap(), (4 << 20, true), "gzip cannot do it");
        for format in [Format::Zstd, Format::Xz, Format::Bzip2] {
            let error = bounded(format, 256 << 10).unwrap_err();
            assert!(error.to_string().contains("attack"), "{format}: {error}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        // xz whose dictionary is as large as the format allows.
        let mut head = testing::compress_by(Format::Xz, b"content");
        // The dictionary's size is a byte of the block's header, after the filter's ID and the size of its properties.
        let place = head.windows(2).position(|bytes| bytes == [0x21, 0x01]).unwrap() + 2;
        head[place] = 40;
        let header = 12..12 + (usize::from(head[12]) + 1) * 4;
        let crc = crc32(&head[header.start..header.end - 4]);
        head[header.end - 4..header.end].copy_from_slice(&crc.to_le_bytes());
        let error = read(Format::Xz, &head).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }
}
