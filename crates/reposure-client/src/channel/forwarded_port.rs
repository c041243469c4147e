//! What the messages of `portforward` mean: channel 0 is data, 1 an error's text.
//!
//! The first two bytes of either channel are the port's number. See [the kubelet's `portforward` over WebSockets][1].
//!
//! [1]: https://pkg.go.dev/k8s.io/kubelet/pkg/cri/streaming/portforward

use std::io;

use bytes::{Buf as _, Bytes};

use super::protocol::Protocol;
use crate::text::excerpt;

/// The length of a port's number at the start of each channel, in bytes.
const PORT: usize = 2;
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// One port.
#[derive(Debug)]
pub(super) struct ForwardedPort {
    /// How much of the port's number is still to come, on either channel.
    ports: [usize; 2],
}

impl ForwardedPort {
    pub(super) const fn new() -> Self {
        Self { ports: [PORT; 2] }
    }
}

impl Protocol for ForwardedPort {
    fn receive(&mut self, came: &mut Bytes) -> io::Result<Bytes> {
        let mut message = std::mem::take(came);
        let Some(channel) = message.first().copied() else { return Ok(Bytes::new()) };
        message.advance(1);
        let Some(port) = self.ports.get_mut(usize::from(channel)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("there is no channel {channel}")));
        };
        let skipped = message.len().min(*port);
        *port -= skipped;
        message.advance(skipped);
        match channel {
            DATA => Ok(message),
            // What the kubelet says of a port that it does not reach.
            ERROR if !message.is_empty() => {
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, excerpt(&message)))
            }
            _ => Ok(Bytes::new()),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_number_is_no_data_however_it_comes() {
        let mut port = ForwardedPort::new();
        let messages: [&'static [u8]; 5] = [&[0, 10], &[1, 10, 40], &[0, 40, 1], &[], &[0, 2]];
        let data = messages.map(|message| port.receive(&mut Bytes::from_static(message)).unwrap());
        assert_eq!(data.concat(), [1, 2]);
        let error = port.receive(&mut Bytes::from_static(b"\x01no such \x1b[31mport")).unwrap_err();
        assert_eq!(error.to_string(), "no such [31mport");
    }
}
