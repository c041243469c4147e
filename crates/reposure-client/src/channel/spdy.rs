//! SPDY/3.1, as much of it as a client of `portforward` needs. See [the draft][1] and [the implementation that Kubernetes uses][2].
//!
//! That one has no flow control: what a stream does not take holds up the connection. So does this one.
//!
//! [1]: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/
//! [2]: https://github.com/moby/spdystream

mod headers;
mod reader;
mod writer;

pub(super) use headers::Headers;
pub(super) use reader::{Frame, Reader};
pub(super) use writer::{data_head, ping, syn_stream};

/// The version in each control frame: 3.1 changed none of what is used here.
const VERSION: u16 = 3;
/// The bit that tells control frames from data.
const CONTROL: u8 = 0x80;
/// The flag of a stream's last frame.
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
