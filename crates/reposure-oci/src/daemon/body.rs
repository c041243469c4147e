//! An answer's body for code that blocks.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;

use crate::transport::Body;

/// Reads a body on a thread where that may block.
pub(super) struct BodyReader {
    runtime: Handle,
    body: Body,
    chunk: Bytes,
}

impl BodyReader {
    /// Takes a body; must be called within the runtime that it belongs to.
    pub(super) fn new(body: Body) -> Self {
        Self { runtime: Handle::current(), body, chunk: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                Some(frame) => {
                    self.chunk = frame.map_err(io::Error::other)?.into_data().unwrap_or_default();
                }
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
