//! Reading what is compressed, in every format that is known here.

use std::io::{self, BufRead, Read};

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

/// Decompresses `reader`: all members, streams and frames that follow each other, as the tools of each format do.
///
/// # Errors
/// When the decompressor cannot be made. Reading fails where the bytes are damaged, or end early.
pub(crate) fn decompress<'a>(format: Format, reader: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
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
