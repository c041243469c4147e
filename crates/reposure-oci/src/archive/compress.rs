//! A layer that is compressed into the spool, and what is known of it then.

use std::{
    io::{self, Write},
    sync::Arc,
};

use super::{options::Options, store::hold};
use crate::{
    blob::{Blob, FileSlice},
    cache::{Entry, LayerCache},
    compression::Compression,
    digest::Digest,
    encoder::Encoder,
    manifest::Descriptor,
    measure::Measure,
    media_type::MediaType,
    spool::{SpoolWriter, Spooled},
};

/// Takes a layer's uncompressed bytes and compresses them into the spool; the cache keeps what came of them.
#[derive(Debug)]
pub(crate) struct Compressor {
    out: Measure<Encoder<Measure<SpoolWriter>>>,
    compression: Compression,
    cache: Option<LayerCache>,
}

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
        let out = Measure::new(Encoder::new(out, options.compression, options.threads)?);
        Ok(Self { out, compression: options.compression, cache: options.cache.clone() })
    }

    /// Ends the layer.
    pub(crate) fn finish(self) -> io::Result<Compressed> {
        let (encoder, diff_id, plain_size) = self.out.finish();
        let (writer, digest, size) = encoder.finish()?.finish();
        if let Some(cache) = self.cache {
            let (diff_id, digest) = (diff_id.clone(), digest.clone());
            cache.keep(Entry { diff_id, plain_size, encoder: self.compression.to_string(), digest, size });
        }
        Ok(Compressed { diff_id, digest, size, spooled: writer.finish() })
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
