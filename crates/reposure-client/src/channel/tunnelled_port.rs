//! What comes through a tunnel of `portforward`: SPDY/3.1 with a stream for data and one for an error's text.
//!
//! The WebSocket ends at the API server, or at the kubelet, which carry its bytes to the container runtime as they are. One tunnel has
//! one pair of streams, so that none holds up another. See [the kubelet's `portforward` over SPDY][1].
//!
//! [1]: https://pkg.go.dev/k8s.io/kubelet/pkg/cri/streaming/portforward

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    protocol::{Protocol, State},
    spdy::{Frame, Headers, Reader, data_head, ping, syn_stream},
};
use crate::text::excerpt;

/// What a client opens has odd numbers.
const ERRORS: u32 = 1;
const DATA: u32 = 3;
/// How much is kept of an error's text, in bytes: more than is shown.
const TEXT: usize = 4 << 10;
/// What tells that two streams belong together. There are no others.
const REQUEST: &str = "0";

/// One port.
#[derive(Debug)]
pub(super) struct TunnelledPort {
    reader: Reader,
    /// The next message that is not data.
    owed: Option<Bytes>,
    /// Whether the data has a stream.
    is_open: bool,
    data_ended: bool,
    errors_ended: bool,
    text: Vec<u8>,
}

impl TunnelledPort {
    pub(super) fn new(port: u16) -> Self {
        Self {
            reader: Reader::default(),
            owed: Some(opening(port)),
            is_open: false,
            data_ended: false,
            errors_ended: false,
            text: Vec::new(),
        }
    }

    /// Takes what the node says of a port that it does not reach.
    fn error(&mut self, text: &[u8], is_whole: bool) -> io::Result<()> {
        let left = TEXT.saturating_sub(self.text.len());
        self.text.extend_from_slice(&text[..text.len().min(left)]);
        if self.text.is_empty() || !is_whole {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::ConnectionRefused, excerpt(&self.text)))
    }

    /// Takes a frame, and returns the data in it.
    fn take(&mut self, frame: Frame) -> io::Result<Bytes> {
        match frame {
            Frame::Data { stream: DATA, bytes, ends, .. } => {
                self.data_ended |= ends;
                return Ok(bytes);
            }
            Frame::Data { stream: ERRORS, bytes, is_last, ends } => {
                self.error(&bytes, is_last)?;
                self.errors_ended |= ends;
            }
            Frame::Reply { stream: DATA, ends } => {
                self.is_open = true;
                self.data_ended |= ends;
            }
            Frame::Reset { stream: DATA, status } => {
                let text = format!("the node gave up the stream, with the status {status} of SPDY");
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, text));
            }
            Frame::Reply { stream: ERRORS, ends: true } | Frame::Reset { stream: ERRORS, .. } => {
                self.errors_ended = true;
            }
            // Those with odd numbers would answer ours, of which there are none. Who pings without end gets one answer for many.
            Frame::Ping(id) if id % 2 == 0 => self.owed = Some(ping(id)),
            Frame::Data { .. } | Frame::Reply { .. } | Frame::Reset { .. } | Frame::Ping(_) => {}
        }
        Ok(Bytes::new())
    }
}

/// Returns the frames that ask for both streams at once.
fn opening(port: u16) -> Bytes {
    let (port, mut headers, mut frames) = (port.to_string(), Headers::default(), BytesMut::new());
    for (stream, kind) in [(ERRORS, "error"), (DATA, "data")] {
        let block = headers.block(&[("streamtype", kind), ("port", &port), ("requestid", REQUEST)]);
        frames.put(syn_stream(stream, stream == ERRORS, &block));
    }
    frames.freeze()
}

impl Protocol for TunnelledPort {
    fn receive(&mut self, came: &mut Bytes) -> io::Result<Bytes> {
        let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        while let Some(frame) = self.reader.next(came).map_err(wrong)? {
            let data = self.take(frame)?;
            if !data.is_empty() {
                return Ok(data);
            }
        }
        Ok(Bytes::new())
    }

    fn state(&self) -> State {
        match (self.is_open, self.data_ended, self.errors_ended) {
            (false, ..) => State::Opening,
            (_, false, _) => State::Open,
            // The container runtime ends the data before it says what was wrong.
            (_, true, false) => State::Ending,
            (_, true, true) => State::Ended,
        }
    }

    fn owed(&mut self) -> Option<Bytes> {
        self.owed.take()
    }

    fn begin(&self, length: usize, message: &mut BytesMut) {
        message.put_slice(&data_head(DATA, length));
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: [u8; 12] = [0x80, 3, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3];
    const END: [u8; 8] = [0, 0, 0, 3, 1, 0, 0, 0];

    fn receive(port: &mut TunnelledPort, frames: &[&[u8]]) -> io::Result<Bytes> {
        let mut came = Bytes::from(frames.concat());
        let data = port.receive(&mut came);
        assert!(data.is_err() || came.is_empty());
        data
    }

    #[test]
    fn data_comes_once_there_is_a_stream_and_ends_with_both() {
        let mut port = TunnelledPort::new(10250);
        assert_eq!(port.state(), State::Opening);
        assert!(port.owed().is_some());
        receive(&mut port, &[&REPLY]).unwrap();
        assert_eq!((port.state(), port.owed()), (State::Open, None));
        assert_eq!(receive(&mut port, &[&[0, 0, 0, 3, 0, 0, 0, 2, 7, 8]]).unwrap(), [7, 8][..]);
        receive(&mut port, &[&END]).unwrap();
        assert_eq!(port.state(), State::Ending);
        receive(&mut port, &[&[0, 0, 0, 1, 1, 0, 0, 0]]).unwrap();
        assert_eq!(port.state(), State::Ended);
    }

    #[test]
    fn an_errors_text_comes_behind_the_end_of_the_data() {
        let mut port = TunnelledPort::new(10250);
        let error = receive(&mut port, &[&REPLY, &END, &[0, 0, 0, 1, 0, 0, 0, 11], b"no \x1b[0mpo", b"rt"]);
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (io::ErrorKind::ConnectionRefused, "no [0mport".into())
        );
    }

    #[test]
    fn a_stream_that_is_reset_is_no_end() {
        let mut port = TunnelledPort::new(10250);
        let reset = [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 5];
        let error = receive(&mut port, &[&REPLY, &reset]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn pings_of_the_other_side_are_answered() {
        let mut port = TunnelledPort::new(10250);
        port.owed();
        let mut pinged = ping(7).to_vec();
        receive(&mut port, &[&pinged]).unwrap();
        assert_eq!(port.owed(), None);
        pinged[11] = 8;
        receive(&mut port, &[&pinged]).unwrap();
        assert_eq!(port.owed(), Some(ping(8)));
    }
}
