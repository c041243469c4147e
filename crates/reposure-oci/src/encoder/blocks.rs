//! Cuts a layer into pieces of one length.

/// Cuts bytes that come in any portions.
#[derive(Debug)]
pub(super) struct Blocks {
    length: usize,
    /// What was taken and not cut off yet: less than `length` between calls.
    buffer: Vec<u8>,
}

impl Blocks {
    pub(super) fn new(length: usize) -> Self {
        Self { length, buffer: Vec::with_capacity(length) }
    }

    /// Takes the first of `bytes`, at least one; returns how many, and the piece that ends with them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, Option<Vec<u8>>) {
        let count = bytes.len().min(self.length - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        let is_full = self.buffer.len() == self.length;
        (count, is_full.then(|| std::mem::replace(&mut self.buffer, Vec::with_capacity(self.length))))
    }

    /// Cuts what is left.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer))
    }
}
