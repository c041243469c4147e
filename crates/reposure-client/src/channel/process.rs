//! What the messages of `exec` mean: channel 1 is standard output, 2 standard error, 3 the `Status` at the end.
//!
//! See [the API server's `v4.channel.k8s.io` and `v5.channel.k8s.io`][1]. Version 5 adds a message that closes a channel, which is not
//! used here: nothing depends on an end of file.
//!
//! [1]: https://pkg.go.dev/k8s.io/apimachinery/pkg/util/remotecommand

use std::io;

use bytes::{Buf as _, Bytes};
use kube::core::Status;

use super::{diagnosis::Diagnosis, protocol::Protocol};

const OUTPUT: u8 = 1;
const ERRORS: u8 = 2;
const STATUS: u8 = 3;

/// One process.
#[derive(Debug, Default)]
pub(super) struct Process {
    errors: Diagnosis,
}

impl Process {
    /// Makes an error of a `Status`, unless it says that all is well.
    fn ended(&mut self, status: &[u8]) -> io::Result<()> {
        if status.is_empty() {
            return Ok(());
        }
        match serde_json::from_slice::<Status>(status) {
            Ok(status) if status.is_success() => {}
            Ok(status) => self.errors.add(status.message.as_bytes()),
            Err(_) => self.errors.add(status),
        }
        self.errors.outcome()
    }
}

impl Protocol for Process {
    fn receive(&mut self, came: &mut Bytes) -> io::Result<Bytes> {
        let mut message = std::mem::take(came);
        let Some(channel) = message.first().copied() else { return Ok(Bytes::new()) };
        message.advance(1);
        match channel {
            OUTPUT => return Ok(message),
            ERRORS => self.errors.add(&message),
            STATUS => self.ended(&message)?,
            _ => {}
        }
        Ok(Bytes::new())
    }

    fn end(&mut self) -> io::Result<()> {
        self.errors.outcome()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(process: &mut Process, channel: u8, text: &str) -> io::Result<Bytes> {
        process.receive(&mut [&[channel], text.as_bytes()].concat().into())
    }

    #[test]
    fn what_the_process_said_is_in_the_error() {
        let mut process = Process::default();
        assert_eq!(receive(&mut process, OUTPUT, "data").unwrap(), "data");
        assert!(receive(&mut process, ERRORS, "cannot join\n").unwrap().is_empty());
        let status = r#"{"status":"Failure","message":"command terminated with exit code 1"}"#;
        let error = receive(&mut process, STATUS, status).unwrap_err();
        assert_eq!(error.to_string(), "cannot join: command terminated with exit code 1");
    }

    #[test]
    fn a_process_that_ends_well_has_ended() {
        let mut process = Process::default();
        assert!(receive(&mut process, STATUS, "").unwrap().is_empty());
        assert!(receive(&mut process, STATUS, r#"{"status":"Success"}"#).unwrap().is_empty());
        process.end().unwrap();
    }
}
