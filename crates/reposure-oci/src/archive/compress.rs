//! A layer that is compressed into the spool, and what is known of it then.

use std::{
    io::{self, Write},
    sync::Arc,
};

use super::{options::Options, store::hold};
use crate::{
    blob::{Blob, FileSlice},
    digest::Digest,
    encoder::Encoder,
    manifest::Descriptor,
    measure::Measure,
    media_type::MediaType,
    spool::{SpoolWriter, Spooled},
};

/// Takes a layer's uncompressed bytes and compresses them into the spool.
#[derive(Debug)]
pub(crate) struct Compressor(Measure<Encoder<Measure<SpoolWriter>>>);

/// A compressed layer.
#[derive(Debug)]
pub(crate) struct Compressed {
    /// The digest of the uncompressed bytes.
    pub(crate) diff_id: Digest,
    digest: Digest,
    size: u64,
    spooled: Spooled,
}

impl Compressor {
    /// Starts a layer.
    pub(crate) fn new(options: &Options) -> io::Result<Self> {
        let out = Measure::new(options.spool.create()?);
        Ok(Self(Measure::new(Encoder::new(out, options.compression, options.threads)?)))
    }

    /// Ends the layer.
    pub(crate) fn finish(self) -> io::Result<Compressed> {
        let (encoder, diff_id, _) = self.0.finish();
        let (writer, digest, size) = encoder.finish()?.finish();
        Ok(Compressed { diff_id, digest, size, spooled: writer.finish() })
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Compressed {
    /// Describes the compressed bytes.
    pub(crate) fn descriptor(&self, media_type: MediaType) -> Descriptor {
        Descriptor::new(media_type, self.digest.clone(), self.size)
    }

    /// Makes a blob of it.
    pub(crate) fn into_blob(self, descriptor: Descriptor) -> Arc<dyn Blob> {
        let Spooled { file, folder, room } = self.spooled;
        hold(FileSlice::new(descriptor, file, folder, 0), Some(room))
    }
}
