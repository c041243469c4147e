//! Frames that are sent.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{CONTROL, FIN, PING, SYN_STREAM, VERSION};

/// The length of what goes before a frame's payload, in bytes.
pub(super) const HEAD: usize = 8;
/// The length of what goes before the headers of a new stream, in bytes.
const STREAM: usize = 10;

/// Returns what goes before `length` bytes of data: at most 16 MiB less one, as a length has 24 bits.
pub(in super::super) fn data_head(stream: u32, length: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&stream.to_be_bytes());
    head[4..].copy_from_slice(&flags_and_length(0, length).to_be_bytes());
    head
}

/// Returns the frame that opens a stream by a block of headers; a stream that `ends` has no data of ours.
pub(in super::super) fn syn_stream(stream: u32, ends: bool, block: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + STREAM + block.len());
    control_head(SYN_STREAM, if ends { FIN } else { 0 }, STREAM + block.len(), &mut frame);
    frame.put_u32(stream);
    // It belongs to no other one, has the highest priority, and no credentials of its own.
    frame.put_u32(0);
    frame.put_u16(0);
    frame.put_slice(block);
    frame.freeze()
}

/// Returns the answer to a ping.
pub(in super::super) fn ping(id: u32) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + 4);
    control_head(PING, 0, 4, &mut frame);
    frame.put_u32(id);
    frame.freeze()
}

fn control_head(kind: u16, flags: u8, length: usize, frame: &mut BytesMut) {
    frame.put_u16(u16::from(CONTROL) << 8 | VERSION);
    frame.put_u16(kind);
    frame.put_u32(flags_and_length(flags, length));
}

fn flags_and_length(flags: u8, length: usize) -> u32 {
    u32::from(flags) << 24 | (u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_the_draft() {
        assert_eq!(data_head(3, 0x0001_0203), [0, 0, 0, 3, 0, 1, 2, 3]);
        assert_eq!(ping(2), [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 2][..]);
        let opening = [0x80, 3, 0, 1, 1, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8, 9];
        assert_eq!(syn_stream(1, true, &[8, 9]), opening[..]);
    }
}
