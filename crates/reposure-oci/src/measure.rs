//! Digest and size of bytes as they pass through a reader or a writer.

use std::io::{self, Read, Write};

use crate::digest::{Algorithm, Digest, Digester};

/// How much is read at once where bytes are only measured: what stays in a core's cache.
const BUFFER: usize = 256 << 10;

/// A reader or writer that computes digest and size of what passes.
#[derive(Debug)]
pub(crate) struct Measure<T> {
    inner: T,
    digester: Digester,
    size: u64,
}

impl<T> Measure<T> {
    /// Measures by SHA-256.
    pub(crate) fn new(inner: T) -> Self {
        Self::with(inner, Algorithm::Sha256)
    }

    /// Measures by the given algorithm.
    pub(crate) fn with(inner: T, algorithm: Algorithm) -> Self {
        Self { inner, digester: Digester::new(algorithm), size: 0 }
    }

    /// Gives back the reader or writer, with the digest and the size in bytes of what passed.
    pub(crate) fn finish(self) -> (T, Digest, u64) {
        (self.inner, self.digester.finish(), self.size)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.digester.update(bytes);
        self.size += bytes.len() as u64;
    }
}

/// Reads all there is, and returns its digest and its size in bytes.
pub(crate) fn measure(reader: impl Read) -> io::Result<(Digest, u64)> {
    let mut reader = Measure::new(reader);
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => drop(done?),
        }
    }
    let (_, digest, size) = reader.finish();
    Ok((digest, size))
}

impl<T: Read> Read for Measure<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.add(&buffer[..count]);
        Ok(count)
    }
}

impl<T: Write> Write for Measure<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.add(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
