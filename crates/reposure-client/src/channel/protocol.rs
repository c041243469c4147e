//! What the messages of a subresource of a pod mean.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};

/// The most that goes before data in a message, in bytes.
pub(super) const HEAD: usize = 8;
/// The channel of what goes to the pod.
const TO_POD: u8 = 0;

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has said yes to it yet.
    Opening,
    Open,
    /// There is no more data, and perhaps a word on it is still to come.
    Ending,
    Ended,
}

/// What the messages of a subresource mean.
pub(super) trait Protocol: Unpin {
    /// Takes as much as is needed off what came, and returns the first data in it.
    ///
    /// # Errors
    /// When it says that there will be no more, or is malformed.
    fn receive(&mut self, came: &mut Bytes) -> io::Result<Bytes>;

    /// Tells how far the stream is, after all that was received.
    fn state(&self) -> State {
        State::Open
    }

    /// Takes a message that has to go before any other one.
    fn owed(&mut self) -> Option<Bytes> {
        None
    }

    /// Begins a message of so much data. By default that is a channel's number.
    fn begin(&self, _length: usize, message: &mut BytesMut) {
        message.put_u8(TO_POD);
    }

    /// Tells whether the end of all messages is one that could be expected.
    ///
    /// # Errors
    /// What the other side said to it.
    fn end(&mut self) -> io::Result<()>;
}

/// Any of several, told apart when the stream is there.
impl<P: Protocol + ?Sized> Protocol for Box<P> {
    fn receive(&mut self, came: &mut Bytes) -> io::Result<Bytes> {
        (**self).receive(came)
    }

    fn state(&self) -> State {
        (**self).state()
    }

    fn owed(&mut self) -> Option<Bytes> {
        (**self).owed()
    }

    fn begin(&self, length: usize, message: &mut BytesMut) {
        (**self).begin(length, message);
    }

    fn end(&mut self) -> io::Result<()> {
        (**self).end()
    }
}
