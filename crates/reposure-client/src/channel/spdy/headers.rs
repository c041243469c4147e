//! Blocks of headers, which SPDY compresses: one zlib stream for all blocks of a connection, with a dictionary that both sides know.
//!
//! Ours are a few dozen bytes, once for each connection, and go in *stored* blocks, which are no smaller and refer to nothing. So all
//! that is needed of the dictionary is its checksum. See [RFC 1950][1] and [RFC 1951, 3.2.4][2]. Blocks that come are not read at all:
//! nothing in an answer is of use, and only other blocks depend on them.
//!
//! [1]: https://www.rfc-editor.org/rfc/rfc1950
//! [2]: https://www.rfc-editor.org/rfc/rfc1951#section-3.2.4

use bytes::{BufMut as _, Bytes, BytesMut};

/// How the zlib stream begins: deflate with a window of 32 KiB, and the Adler-32 of SPDY/3's dictionary.
const BEGINNING: [u8; 6] = [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2];
/// The first byte of a stored block that is not the last one.
const STORED: u8 = 0;
/// The largest stored block, in bytes: its length has 16 bits.
const LARGEST: usize = u16::MAX as usize;

/// The headers that one side of a connection sends.
#[derive(Debug, Default)]
pub(in super::super) struct Headers {
    begun: bool,
}

impl Headers {
    /// Returns the next block. Names are in lower case.
    pub(in super::super) fn block(&mut self, headers: &[(&str, &str)]) -> Bytes {
        let mut plain = BytesMut::new();
        plain.put_u32(length(headers.len()));
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(length(text.len()));
            plain.put_slice(text.as_bytes());
        }
        let mut block = BytesMut::new();
        if !std::mem::replace(&mut self.begun, true) {
            block.put_slice(&BEGINNING);
        }
        plain.chunks(LARGEST).for_each(|piece| store(piece, &mut block));
        // An empty one makes a reader give out what it has read: zlib's `Z_SYNC_FLUSH`.
        store(&[], &mut block);
        block.freeze()
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Appends a stored block of at most [`LARGEST`].
fn store(piece: &[u8], block: &mut BytesMut) {
    let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
    block.put_u8(STORED);
    block.put_u16_le(length);
    block.put_u16_le(!length);
    block.put_slice(piece);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_stored_and_the_stream_begins_once() {
        let mut headers = Headers::default();
        let plain = b"\0\0\0\x01\0\0\0\x04port\0\0\0\x0210";
        let stored = [&[0, 18, 0, !18, 0xff][..], plain, &[0, 0, 0, 0xff, 0xff]].concat();
        assert_eq!(headers.block(&[("port", "10")]), [&BEGINNING[..], &stored].concat());
        assert_eq!(headers.block(&[("port", "10")]), stored);
    }
}
