//! Where the segments of a tar end.

use tar::{EntryType, Header, PaxExtensions};

use crate::tarball::{BLOCK, is_header, padding};

/// The size in bytes from which a file is a segment of its own: the shortest piece of the cutter, so that smaller ones would only
/// make more members.
const LARGE: u64 = 64 << 10;
/// The largest extended header that is looked at, in bytes: what Go's `archive/tar` takes.
const EXTENDED: u64 = 1 << 20;

/// Follows the bytes of a layer through its tar. What is no tar, or stops to be one, is one segment to its end.
#[derive(Debug)]
pub(super) struct Segments {
    state: State,
    /// The size that an extended header gives the next file, in place of that in its header: of 8 GiB and more, as a rule.
    size: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// Within a header, of which these bytes came.
    Header(Vec<u8>),
    /// Within an extended header, of which these bytes came, with what is left of it and the padding behind it.
    Extended(Vec<u8>, u64, u64),
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
        Self { state: State::header(), size: None }
    }

    /// Takes the first of `bytes` that belong to the running segment, at least one; returns how many these are, and whether the
    /// segment ends behind them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        match &mut self.state {
            State::Opaque => (bytes.len(), false),
            State::Rest(left) => {
                let count = advance(left, bytes);
                if *left == 0 {
                    self.state = State::header();
                }
                (count, false)
            }
            State::Large(left, padding) => {
                let count = advance(left, bytes);
                let ends = *left == 0;
                if ends {
                    self.state = State::rest(*padding);
                }
                (count, ends)
            }
            State::Extended(records, left, padding) => {
                let count = advance(left, bytes);
                records.extend_from_slice(&bytes[..count]);
                if *left == 0 {
                    self.size = size_of_next(records);
                    self.state = State::rest(*padding);
                }
                (count, false)
            }
            State::Header(block) => {
                let count = bytes.len().min(BLOCK - block.len());
                block.extend_from_slice(&bytes[..count]);
                if block.len() < BLOCK {
                    return (count, false);
                }
                let block = std::mem::take(block);
                self.state = self.behind(&block);
                (count, matches!(self.state, State::Large(..)))
            }
        }
    }

    /// Returns what comes behind a block where a header should be.
    fn behind(&mut self, block: &[u8]) -> State {
        if block.iter().all(|byte| *byte == 0) {
            return State::header(); // the end of the tar, or of the first of some
        }
        let header = Header::from_byte_slice(block);
        let (true, Ok(size)) = (is_header(block), header.entry_size()) else { return State::Opaque };
        let kind = header.entry_type();
        let size = match kind {
            // Of these the header is all, whatever it says, as Go has it.
            EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo => {
                self.size = None;
                0
            }
            // These lie between an extended header and its file.
            EntryType::XHeader
            | EntryType::XGlobalHeader
            | EntryType::GNULongName
            | EntryType::GNULongLink => size,
            _ => self.size.take().unwrap_or(size),
        };
        let padding = padding(size) as u64;
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        match size.checked_add(padding) {
            Some(_) if is_file && size >= LARGE => State::Large(size, padding),
            Some(_) if kind == EntryType::XHeader && (1..=EXTENDED).contains(&size) => {
                State::Extended(Vec::new(), size, padding)
            }
            Some(length) => State::rest(length),
            None => State::Opaque,
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
}

/// Reads the size of the next file in an extended header, the last one if there are several.
///
/// See [pax, "pax Extended Header"](https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_03).
fn size_of_next(records: &[u8]) -> Option<u64> {
    let records = PaxExtensions::new(records).map_while(Result::ok);
    let sizes = records.filter(|record| record.key_bytes() == b"size");
    sizes.last()?.value().ok()?.parse().ok()
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

    fn record(key: &str, value: &str) -> String {
        // The number of a record counts its own digits: two of them here.
        let length = key.len() + value.len() + 5;
        format!("{length} {key}={value}\n")
    }

    /// An extended header.
    fn extended(bytes: &mut Vec<u8>, records: &str) {
        bytes.extend(header(EntryType::XHeader, "PaxHeaders/file", records.len() as u64, 0o644).unwrap());
        bytes.extend(records.as_bytes());
        bytes.extend(vec![0; padding(records.len() as u64)]);
    }

    #[test]
    fn an_extended_header_has_the_size_of_its_file() {
        let mut tar = Vec::new();
        extended(
            &mut tar,
            &(record("size", "1") + &record("mtime", "1700000000.5") + &record("size", "70000")),
        );
        // Between the two may be a long name; the file's own header cannot hold its size.
        tar.extend(header(EntryType::Regular, &"n".repeat(150), 0, 0o644).unwrap());
        let before = tar.len();
        tar.extend(vec![b'x'; 70_000 + padding(70_000)]);
        // It is of that file alone.
        file(&mut tar, 65_536);
        tar.extend(END);
        let expected = [before, 70_000, padding(70_000) + BLOCK, 65_536, END.len()];
        for step in [1, 100, usize::MAX >> 1] {
            assert_eq!(lengths(&tar, step), expected, "{step}");
        }
    }

    #[test]
    fn a_file_above_what_a_header_can_say_is_a_segment() {
        let mut tar = Vec::new();
        extended(&mut tar, &record("size", "8589934592"));
        tar.extend(header(EntryType::Regular, "file", 0, 0o644).unwrap());
        let mut segments = Segments::new();
        let mut rest = tar.as_slice();
        while !rest.is_empty() {
            let (count, ends) = segments.take(rest);
            rest = &rest[count..];
            assert_eq!(ends, rest.is_empty());
        }
        let piece = vec![0; 1 << 20];
        for number in 0..8192 {
            assert_eq!(segments.take(&piece), (piece.len(), number == 8191));
        }
        assert_eq!(segments.take(&END), (BLOCK, false));
    }

    #[test]
    fn of_links_and_folders_the_header_is_all() {
        let mut tar = Vec::new();
        for kind in [EntryType::Link, EntryType::Symlink, EntryType::Directory] {
            tar.extend(header(kind, "name", 100_000, 0o755).unwrap());
        }
        file(&mut tar, 70_000);
        assert_eq!(lengths(&tar, 1000), [4 * BLOCK, 70_000, padding(70_000)]);
    }

    #[test]
    fn extended_headers_that_make_no_sense_change_nothing() {
        for records in ["", "11 size=x1\n", "99 size=70000\n", "noise"] {
            let mut tar = Vec::new();
            extended(&mut tar, records);
            let before = tar.len() + BLOCK;
            file(&mut tar, 70_000);
            assert_eq!(lengths(&tar, 1000), [before, 70_000, padding(70_000)], "{records}");
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
