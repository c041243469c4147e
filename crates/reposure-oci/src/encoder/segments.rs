//! Where the segments of a tar end.

use tar::{EntryType, Header};

use crate::tarball::{BLOCK, is_header, padding};

/// The size in bytes from which a file is a segment of its own: the shortest piece of the cutter, so that smaller ones would only
/// make more members.
const LARGE: u64 = 64 << 10;

/// Follows the bytes of a layer through its tar. What is no tar, or stops to be one, is one segment to its end.
#[derive(Debug)]
pub(super) struct Segments(State);

#[derive(Debug)]
enum State {
    /// Within a header, of which these bytes came.
    Header(Vec<u8>),
    /// Within bytes that belong to the running segment.
    Rest(u64),
    /// Within a large file, with what is left of it and the padding behind it.
    Large(u64, u64),
    /// Within what is no tar.
    Opaque,
}

impl Segments {
    /// Starts before the first header.
    pub(super) fn new() -> Self {
        Self(State::header())
    }

    /// Takes the first of `bytes` that belong to the running segment, at least one; returns how many these are, and whether the
    /// segment ends behind them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        match &mut self.0 {
            State::Opaque => (bytes.len(), false),
            State::Rest(left) => {
                let count = advance(left, bytes);
                if *left == 0 {
                    self.0 = State::header();
                }
                (count, false)
            }
            State::Large(left, padding) => {
                let count = advance(left, bytes);
                let ends = *left == 0;
                if ends {
                    self.0 = State::rest(*padding);
                }
                (count, ends)
            }
            State::Header(block) => {
                let count = bytes.len().min(BLOCK - block.len());
                block.extend_from_slice(&bytes[..count]);
                if block.len() < BLOCK {
                    return (count, false);
                }
                let next = State::behind(block);
                let ends = matches!(next, State::Large(..));
                self.0 = next;
                (count, ends)
            }
        }
    }
}

impl State {
    fn header() -> Self {
        Self::Header(Vec::with_capacity(BLOCK))
    }

    fn rest(length: u64) -> Self {
        if length == 0 { Self::header() } else { Self::Rest(length) }
    }

    /// Returns what comes behind a block where a header should be.
    fn behind(block: &[u8]) -> Self {
        if block.iter().all(|byte| *byte == 0) {
            return Self::header(); // the end of the tar, or of the first of some
        }
        let header = Header::from_byte_slice(block);
        let (true, Ok(size)) = (is_header(block), header.entry_size()) else { return Self::Opaque };
        let padding = padding(size) as u64;
        let is_file = matches!(header.entry_type(), EntryType::Regular | EntryType::Continuous);
        match size.checked_add(padding) {
            Some(_) if is_file && size >= LARGE => Self::Large(size, padding),
            Some(length) => Self::rest(length),
            None => Self::Opaque,
        }
    }
}

/// Takes as many of `bytes` as are left, and returns their number.
fn advance(left: &mut u64, bytes: &[u8]) -> usize {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left -= count as u64;
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::{END, header};

    fn file(bytes: &mut Vec<u8>, size: usize) {
        bytes.extend(header(EntryType::Regular, "file", size as u64, 0o644).unwrap());
        bytes.extend(vec![b'x'; size + padding(size as u64)]);
    }

    /// The lengths of the segments, when the bytes come in pieces of `step`.
    fn lengths(bytes: &[u8], step: usize) -> Vec<usize> {
        let (mut segments, mut lengths, mut length) = (Segments::new(), Vec::new(), 0);
        for mut piece in bytes.chunks(step) {
            while !piece.is_empty() {
                let (count, ends) = segments.take(piece);
                length += count;
                if ends {
                    lengths.push(std::mem::take(&mut length));
                }
                piece = &piece[count..];
            }
        }
        lengths.push(length);
        lengths
    }

    #[test]
    fn large_files_are_segments_without_their_headers() {
        let mut tar = Vec::new();
        file(&mut tar, 1000);
        file(&mut tar, 70_000);
        file(&mut tar, 65_536);
        file(&mut tar, 65_535);
        tar.extend(END);
        let between = padding(70_000) + BLOCK;
        let expected = [BLOCK + 1024 + BLOCK, 70_000, between, 65_536, BLOCK + 65_536 + 1024];
        for step in [1, 7, 512, 100_000, usize::MAX >> 1] {
            assert_eq!(lengths(&tar, step), expected, "{step}");
        }
    }

    #[test]
    fn what_is_no_tar_is_one_segment() {
        let mut bytes = Vec::new();
        file(&mut bytes, 10);
        bytes.extend(vec![7; 200_000]);
        file(&mut bytes, 100_000);
        assert_eq!(lengths(&bytes, 1000), [bytes.len()]);
        assert_eq!(lengths(b"text", 3), [4]);
    }

    #[test]
    fn a_size_that_nothing_has_ends_the_tar() {
        let mut bytes = header(EntryType::Regular, "file", u64::MAX - 5, 0o644).unwrap();
        bytes.extend([1; 1000]);
        assert_eq!(lengths(&bytes, 100), [bytes.len()]);
    }
}
