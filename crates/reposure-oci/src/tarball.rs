//! Headers of tars that are the same for the same content: no times, no owners.

use std::io;

use tar::{Builder, EntryType, Header};

/// The size of a block of a tar, in bytes: a header is one, contents are filled up to whole ones.
pub(crate) const BLOCK: usize = 512;
/// What ends a tar: two empty blocks.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Tells by its checksum whether `head` starts with a tar's header.
pub(crate) fn is_header(head: &[u8]) -> bool {
    let Some(block) = head.get(..BLOCK) else { return false };
    let header = Header::from_byte_slice(block);
    // The checksum's own field, from 148 to 156, counts as spaces.
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let expected = sum(&block[..148]) + sum(&block[156..]) + 8 * u32::from(b' ');
    // A name may be empty: some writers give none to the PAX header that is first.
    header.cksum().is_ok_and(|actual| actual == expected)
}

/// Makes the blocks before a member's content: a header, and before it the name where that is long.
///
/// # Errors
/// When the path is none for a tar.
pub(crate) fn header(kind: EntryType, path: &str, size: u64, mode: u32) -> io::Result<Vec<u8>> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    let mut builder = Builder::new(Vec::new());
    builder.append_data(&mut header, path, io::empty())?;
    // Not `into_inner`, which ends the tar.
    Ok(std::mem::take(builder.get_mut()))
}

/// Returns how many bytes fill up a content of `size` bytes to whole blocks.
pub(crate) fn padding(size: u64) -> usize {
    // Below BLOCK, so it fits.
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - over) % BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_headers() {
        let bytes = header(EntryType::Regular, "name", 10, 0o644).unwrap();
        assert_eq!(bytes.len(), BLOCK);
        assert!(is_header(&bytes));
        assert!(!is_header(&bytes[..500]) && !is_header(&END));
        let mut pax = Builder::new(Vec::new());
        pax.append_pax_extensions([("comment", &b"x"[..])]).unwrap();
        assert!(is_header(pax.get_ref()) && pax.get_ref()[0] == 0);
        let mut damaged = bytes.clone();
        damaged[3] ^= 1;
        assert!(!is_header(&damaged));
    }

    #[test]
    fn long_names_take_more_blocks() {
        let bytes = header(EntryType::Regular, &"n".repeat(150), 10, 0o644).unwrap();
        assert_eq!(bytes.len(), 3 * BLOCK);
    }

    #[test]
    fn fills_up_to_whole_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
