//! Frames that come, in pieces of any size. Nothing of them is kept but the first bytes of one, so no length is too large.

use bytes::{Buf as _, Bytes};

use super::{CONTROL, FIN, PING, RST_STREAM, SYN_REPLY, VERSION, writer::HEAD};

/// How much of a control frame's payload is looked at, in bytes: what no frame of interest has more of than one of `RST_STREAM`.
const LOOKED_AT: usize = 8;

/// What is wrong with what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum FrameError {
    #[error("a frame of SPDY/{0} came in place of one of SPDY/{VERSION}")]
    Version(u16),
    #[error("a frame of SPDY, of type {kind}, is too short: {length} B")]
    Short { kind: u16, length: usize },
}

/// A frame, or a piece of one with data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Frame {
    /// A piece of a frame with data.
    Data {
        stream: u32,
        bytes: Bytes,
        /// Whether it is the frame's last.
        is_last: bool,
        /// Whether it is the stream's last.
        ends: bool,
    },
    /// The other side has taken a stream.
    Reply {
        stream: u32,
        ends: bool,
    },
    /// The other side wants no more of a stream.
    Reset {
        stream: u32,
        status: u32,
    },
    Ping(u32),
}

/// Takes frames apart.
#[derive(Debug, Default)]
pub(in super::super) struct Reader {
    /// The beginning of a frame, and for control frames of its payload.
    begun: [u8; HEAD + LOOKED_AT],
    /// How much of it there is.
    length: usize,
    /// How much is still to come of a control frame that nobody looks at.
    skipped: usize,
    data: Option<Data>,
}

/// A frame with data.
#[derive(Clone, Copy, Debug)]
struct Data {
    stream: u32,
    ends: bool,
    left: usize,
}

impl Reader {
    /// Takes the next frame, or piece of one, off the beginning of `input`; without one all of `input` is taken.
    ///
    /// # Errors
    /// When it is no SPDY/3. Then there is no sense in what follows.
    pub(in super::super) fn next(&mut self, input: &mut Bytes) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(data) = self.data.take() {
                return Ok(self.piece(data, input));
            }
            let skipped = self.skipped.min(input.len());
            input.advance(skipped);
            self.skipped -= skipped;
            if !self.has(HEAD, input) {
                return Ok(None);
            }
            if self.begun[0] & CONTROL == 0 {
                self.data = Some(self.data());
                self.length = 0;
            } else if let Some(frame) = self.control(input)? {
                return Ok(Some(frame));
            } else if self.length > 0 {
                return Ok(None);
            }
        }
    }

    /// Tells whether so much of a frame's beginning is there, after what `input` has.
    fn has(&mut self, wanted: usize, input: &mut Bytes) -> bool {
        let taken = wanted.saturating_sub(self.length).min(input.len());
        input.split_to(taken).copy_to_slice(&mut self.begun[self.length..self.length + taken]);
        self.length += taken;
        self.length >= wanted
    }

    fn word(&self, position: usize) -> u32 {
        let bytes = &self.begun[position..position + 4];
        bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
    }

    /// Returns the length of the payload.
    fn payload(&self) -> usize {
        (self.word(4) & 0x00ff_ffff) as usize
    }

    fn data(&self) -> Data {
        Data { stream: self.word(0), ends: self.begun[4] & FIN != 0, left: self.payload() }
    }

    /// Returns as much of the data as has come.
    fn piece(&mut self, data: Data, input: &mut Bytes) -> Option<Frame> {
        let bytes = input.split_to(data.left.min(input.len()));
        let left = data.left - bytes.len();
        if left > 0 {
            self.data = Some(Data { left, ..data });
            if bytes.is_empty() {
                return None;
            }
        }
        let is_last = left == 0;
        Some(Frame::Data { stream: data.stream, bytes, is_last, ends: is_last && data.ends })
    }

    /// Looks at a control frame, once enough of it has come.
    fn control(&mut self, input: &mut Bytes) -> Result<Option<Frame>, FrameError> {
        let first = self.word(0);
        let (version, kind) = ((first >> 16) as u16 & 0x7fff, (first & 0xffff) as u16);
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let length = self.payload();
        let wanted = match kind {
            SYN_REPLY | PING => 4,
            RST_STREAM => 8,
            // New streams, settings, windows, and that the connection will end: it ends when it does.
            _ => 0,
        };
        if length < wanted {
            return Err(FrameError::Short { kind, length });
        }
        if !self.has(HEAD + wanted, input) {
            return Ok(None);
        }
        (self.length, self.skipped) = (0, length - wanted);
        let id = self.word(HEAD) & 0x7fff_ffff;
        Ok(match kind {
            SYN_REPLY => Some(Frame::Reply { stream: id, ends: self.begun[4] & FIN != 0 }),
            RST_STREAM => Some(Frame::Reset { stream: id, status: self.word(HEAD + 4) }),
            PING => Some(Frame::Ping(self.word(HEAD))),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAMES: &[u8] = &[
        0x80, 3, 0, 4, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 7, 0, 1, 0, 0, // settings
        0x80, 3, 0, 2, 0, 0, 0, 6, 0, 0, 0, 3, 0x78, 0xbb, // a reply with the beginning of headers
        0, 0, 0, 3, 0, 0, 0, 5, 1, 2, 3, 4, 5, // data
        0x80, 3, 0, 6, 0, 0, 0, 4, 0x80, 0, 0, 2, // a ping
        0, 0, 0, 3, 1, 0, 0, 0, // no more data
        0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5, // a reset
        0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, // goodbye
    ];

    /// Reads pieces that end at these positions, and puts the data of a frame together again.
    fn read(bytes: &[u8], mut ends: Vec<usize>) -> Result<Vec<Frame>, FrameError> {
        ends.push(bytes.len());
        ends.sort_unstable();
        let (mut reader, mut frames, mut begin) = (Reader::default(), Vec::new(), 0);
        let mut before = Vec::new();
        for end in ends {
            let mut input = Bytes::copy_from_slice(&bytes[begin..end]);
            begin = end;
            while let Some(frame) = reader.next(&mut input)? {
                match frame {
                    Frame::Data { bytes, is_last: false, .. } => before.extend_from_slice(&bytes),
                    Frame::Data { stream, bytes, is_last, ends } => {
                        before.extend_from_slice(&bytes);
                        let bytes = std::mem::take(&mut before).into();
                        frames.push(Frame::Data { stream, bytes, is_last, ends });
                    }
                    frame => frames.push(frame),
                }
            }
            assert!(input.is_empty(), "something was left");
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_are_the_same_in_any_pieces(ends in prop::collection::vec(0..FRAMES.len(), 0..30)) {
            let data = |bytes: &'static [u8], ends| Frame::Data {
                stream: 3,
                bytes: Bytes::from_static(bytes),
                is_last: true,
                ends,
            };
            let expected = [
                Frame::Reply { stream: 3, ends: false },
                data(&[1, 2, 3, 4, 5], false),
                Frame::Ping(0x8000_0002),
                data(&[], true),
                Frame::Reset { stream: 1, status: 5 },
            ];
            prop_assert_eq!(read(FRAMES, ends).unwrap(), expected);
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), end in 0..200_usize) {
            let end = end.min(bytes.len());
            let _ = read(&bytes, vec![end]);
        }
    }

    #[test]
    fn what_is_no_spdy_is_an_error() {
        assert_eq!(read(b"\x80\x02\0\x02\0\0\0\0", vec![]), Err(FrameError::Version(2)));
        let short = FrameError::Short { kind: RST_STREAM, length: 7 };
        assert_eq!(read(b"\x80\x03\0\x03\0\0\0\x07", vec![]), Err(short));
    }
}
