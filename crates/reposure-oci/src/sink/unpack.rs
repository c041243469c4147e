//! The file in a layer.

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::{decompress::decompress, gzip::Format, media_type::MediaType, tarball};

/// How much is read at once, in bytes.
const READ_BUFFER: usize = 64 << 10;
/// How many members of a layer are looked at for a file.
const MEMBERS_LIMIT: usize = 65_536;

/// Why the file in a layer cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The layer cannot be read or decompressed.
    #[error("cannot read the layer")]
    Read(#[source] io::Error),
    /// There is no file in the layer.
    #[error("there is no file in the layer")]
    NoFile,
    /// The file cannot be written.
    #[error("cannot write the file")]
    Write(#[source] io::Error),
}

/// Writes the first regular file in a layer, and returns its size in bytes.
///
/// There are three forms that files have in registries:
/// - a tar, usually in gzip or Zstandard, with the file in it: what Reposure makes; of an image, it is the first file of its first layer;
/// - the file itself in gzip, in a layer that says it were a tar in gzip: what Reposure made until 2024;
/// - the file itself, as ORAS has it.
///
/// A layer whose media type does not end in the name of its compression is never decompressed unless a tar is in it, so that a
/// file that is gzip itself stays what it is.
///
/// This blocks. The caller checks the layer's digest: what is written was not checked before.
///
/// # Errors
/// When the layer cannot be read, holds no file, or the output cannot be written to.
pub fn unpack_layer(
    media_type: &MediaType,
    layer: impl Read,
    out: &mut impl Write,
) -> Result<u64, UnpackError> {
    let mut layer = BufReader::with_capacity(READ_BUFFER, layer);
    let head = layer.fill_buf().map_err(UnpackError::Read)?;
    match Format::of(head) {
        Some(format) if media_type.as_str().ends_with(&format.to_string()) || holds_tar(format, head) => {
            let layer = decompress(format, layer).map_err(UnpackError::Read)?;
            file(BufReader::with_capacity(READ_BUFFER, layer), out)
        }
        _ => file(layer, out),
    }
}

fn holds_tar(format: Format, start: &[u8]) -> bool {
    let mut head = Vec::new();
    // The start of a layer may end in the middle of a block; what came out until then counts.
    if let Ok(reader) = decompress(format, start) {
        let _ = reader.take(tarball::BLOCK as u64).read_to_end(&mut head);
    }
    tarball::is_header(&head)
}

fn file(reader: impl Read, out: &mut impl Write) -> Result<u64, UnpackError> {
    let mut reader = reader;
    let mut head = Vec::new();
    let block = tarball::BLOCK as u64;
    reader.by_ref().take(block).read_to_end(&mut head).map_err(UnpackError::Read)?;
    let is_empty_tar = head == tarball::END[..tarball::BLOCK];
    let is_tar = tarball::is_header(&head) || is_empty_tar;
    let mut whole = io::Cursor::new(head).chain(reader);
    if is_tar { first_member(whole, out) } else { copy(&mut whole, out) }
}

fn first_member(reader: impl Read, out: &mut impl Write) -> Result<u64, UnpackError> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(UnpackError::Read)?.take(MEMBERS_LIMIT) {
        let mut entry = entry.map_err(UnpackError::Read)?;
        if entry.header().entry_type().is_file() {
            let size = entry.size();
            let count = copy(&mut entry, out)?;
            let cut = || UnpackError::Read(io::ErrorKind::UnexpectedEof.into());
            return if count == size { Ok(count) } else { Err(cut()) };
        }
    }
    Err(UnpackError::NoFile)
}

/// Copies, and tells errors of reading from those of writing.
fn copy(reader: &mut impl Read, out: &mut impl Write) -> Result<u64, UnpackError> {
    let mut buffer = vec![0; READ_BUFFER];
    let mut size = 0;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(UnpackError::Read)?,
        };
        out.write_all(&buffer[..count]).map_err(UnpackError::Write)?;
        size += count as u64;
    }
    out.flush().map_err(UnpackError::Write)?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing::{Tar, compress, compress_by, layer};

    fn unpack(media_type: &MediaType, layer: &[u8]) -> Result<Vec<u8>, UnpackError> {
        let mut out = Vec::new();
        let size = unpack_layer(media_type, layer, &mut out)?;
        assert_eq!(size, out.len() as u64);
        Ok(out)
    }

    #[test]
    fn takes_the_first_file_of_a_tar() {
        let tar = Tar::new().symlink("link", "b").file("a", "first").file("b", "second").bytes();
        for media_type in [MediaType::OCI_LAYER, MediaType::OCI_LAYER_GZIP, MediaType::OCTET_STREAM] {
            assert_eq!(unpack(&media_type, &tar).unwrap(), b"first");
            assert_eq!(unpack(&media_type, &compress(&tar)).unwrap(), b"first");
            assert_eq!(unpack(&media_type, &compress_by(Format::Zstd, &tar)).unwrap(), b"first");
        }
    }

    #[test]
    fn takes_what_is_no_tar_as_the_file() {
        let gzip = compress(b"text");
        // What Reposure made until 2024.
        assert_eq!(unpack(&MediaType::DOCKER_LAYER_GZIP, &gzip).unwrap(), b"text");
        // What ORAS makes, of a file that is gzip.
        assert_eq!(unpack(&MediaType::OCI_LAYER, &gzip).unwrap(), gzip);
        assert_eq!(unpack(&MediaType::OCI_LAYER, b"text").unwrap(), b"text");
        assert_eq!(unpack(&MediaType::OCI_LAYER, b"").unwrap(), b"");
    }

    #[test]
    fn layers_without_files_and_broken_ones_are_errors() {
        let empty = Tar::new().bytes();
        assert!(matches!(unpack(&MediaType::OCI_LAYER, &empty), Err(UnpackError::NoFile)));
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0, 0];
        assert!(matches!(unpack(&MediaType::OCI_LAYER_ZSTD, &zstd), Err(UnpackError::Read(_))));
        let tar = layer(&"content".repeat(1000));
        assert!(matches!(unpack(&MediaType::OCI_LAYER, &tar[..2000]), Err(UnpackError::Read(_))));
        let gzip = compress(&tar);
        assert!(matches!(unpack(&MediaType::OCI_LAYER_GZIP, &gzip[..60]), Err(UnpackError::Read(_))));
    }
}
