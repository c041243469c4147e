//! A layer of a docker-archive: compressed when it is asked for, and checked against its diff ID.

use std::{
    io::{self, BufReader, Read},
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;
use futures::future::BoxFuture;
use tokio::{sync::OnceCell, task::JoinError};

use super::{compress::Compressor, options::Options, parts::label, store::Content};
use crate::{
    blob::Blob,
    blocking::{self, Stop},
    digest::Digest,
    gzip::Format,
    image::{Layer, SourceError},
    manifest::Descriptor,
    measure::Measure,
    media_type::MediaType,
};

/// How much of a layer is read at once, in bytes.
const READ_BUFFER: usize = 256 << 10;

/// Why a layer of a docker-archive cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The layer cannot be read.
    #[error("cannot read layer {layer}")]
    Read {
        /// The layer's path in the archive, and where it is there.
        layer: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The layer cannot be compressed into the spool, or is gzip that cannot be decompressed.
    #[error("cannot compress or check layer {layer}")]
    Compress {
        /// The layer's path in the archive, and where it is there.
        layer: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The layer is compressed by what cannot be checked here.
    #[error("layer {layer} is compressed by {format}, which is not supported yet")]
    Unsupported {
        /// The layer's path in the archive, and where it is there.
        layer: String,
        /// The format.
        format: Format,
    },
    /// The layer is another than the one that the image's configuration names.
    #[error("layer {layer} is damaged: its diff ID is {actual}, where the configuration has {expected}")]
    DiffId {
        /// The layer's path in the archive, and where it is there.
        layer: String,
        /// The diff ID in the configuration.
        expected: Digest,
        /// The diff ID of the bytes.
        actual: Digest,
    },
    /// The thread that compresses ended early.
    #[error("the work on layer {layer} was broken off")]
    Broken {
        /// The layer's path in the archive, and where it is there.
        layer: String,
        /// What happened.
        #[source]
        source: JoinError,
    },
}

/// A layer of a docker-archive.
#[derive(Debug)]
pub(crate) struct DockerLayer {
    work: Arc<Work>,
    options: Options,
    blob: OnceCell<Arc<dyn Blob>>,
}

/// What is to be done, for the thread that does it.
#[derive(Debug)]
struct Work {
    content: Content,
    diff_id: Digest,
}

impl DockerLayer {
    /// Takes a layer's content and the diff ID that it must have.
    pub(crate) fn new(content: Content, diff_id: Digest, options: Options) -> Self {
        Self { work: Arc::new(Work { content, diff_id }), options, blob: OnceCell::new() }
    }

    /// Returns the blob, compressed now if it must be.
    pub(crate) async fn blob(&self) -> Result<Arc<dyn Blob>, LayerError> {
        self.blob.get_or_try_init(|| self.make()).await.cloned()
    }

    async fn make(&self) -> Result<Arc<dyn Blob>, LayerError> {
        let _permit = self.options.workers.permit().await;
        let (work, options) = (self.work.clone(), self.options.clone());
        let made = blocking::run(move |stop| work.make(&options, stop)).await;
        made.map_err(|source| LayerError::Broken { layer: self.work.content.place(), source })?
    }
}

impl Work {
    fn make(&self, options: &Options, stop: &Stop) -> Result<Arc<dyn Blob>, LayerError> {
        let read = |source| LayerError::Read { layer: self.content.place(), source };
        let format = self.content.format().map_err(read)?;
        let reader = stop.reader(self.content.open().map_err(read)?);
        match format {
            None => self.compress(BufReader::with_capacity(READ_BUFFER, reader), options),
            Some(Format::Gzip) => self.check(BufReader::with_capacity(READ_BUFFER, Measure::new(reader))),
            Some(format) => Err(LayerError::Unsupported { layer: self.content.place(), format }),
        }
    }

    fn compress(&self, mut reader: impl Read, options: &Options) -> Result<Arc<dyn Blob>, LayerError> {
        let failed = |source| LayerError::Compress { layer: self.content.place(), source };
        let mut compressor = Compressor::new(options).map_err(failed)?;
        io::copy(&mut reader, &mut compressor).map_err(failed)?;
        let compressed = compressor.finish().map_err(failed)?;
        self.check_diff_id(&compressed.diff_id)?;
        let descriptor = compressed.descriptor(MediaType::DOCKER_LAYER_GZIP);
        Ok(compressed.into_blob(descriptor))
    }

    /// Takes a layer that is gzip already, as it is.
    fn check(&self, reader: BufReader<Measure<impl Read>>) -> Result<Arc<dyn Blob>, LayerError> {
        let failed = |source| LayerError::Compress { layer: self.content.place(), source };
        let mut plain = Measure::new(MultiGzDecoder::new(reader));
        io::copy(&mut plain, &mut io::sink()).map_err(failed)?;
        let (decoder, diff_id, _) = plain.finish();
        self.check_diff_id(&diff_id)?;
        // The decoder reads to the end, since another gzip member might follow.
        let (_, digest, size) = decoder.into_inner().into_inner().finish();
        Ok(self.content.blob(Descriptor::new(MediaType::DOCKER_LAYER_GZIP, digest, size)))
    }

    fn check_diff_id(&self, actual: &Digest) -> Result<(), LayerError> {
        if *actual == self.diff_id {
            return Ok(());
        }
        let (layer, expected) = (self.content.place(), self.diff_id.clone());
        Err(LayerError::DiffId { layer, expected, actual: actual.clone() })
    }
}

impl Layer for DockerLayer {
    fn diff_id(&self) -> Option<&Digest> {
        Some(&self.work.diff_id)
    }

    fn label(&self) -> String {
        label(&self.work.diff_id)
    }

    fn ready(&self) -> Option<Arc<dyn Blob>> {
        self.blob.get().cloned()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Arc<dyn Blob>, SourceError>> {
        Box::pin(async { self.blob().await.map_err(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::testing::{self, Scratch},
        blob::verify,
    };

    fn make(scratch: &Scratch, bytes: &[u8], diff_id: Digest) -> DockerLayer {
        let path = scratch.write("layer.tar", bytes);
        let content = Content::file("layer.tar".into(), path, bytes.len() as u64);
        DockerLayer::new(content, diff_id, scratch.options())
    }

    #[tokio::test]
    async fn compresses_once_for_all_who_ask() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        let layer = make(&scratch, &tar, Digest::sha256_of(&tar));
        assert!(layer.ready().is_none());
        let (one, two) = tokio::join!(layer.blob(), layer.blob());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert!(Arc::ptr_eq(&one, &two) && layer.ready().is_some());
        assert_eq!(one.descriptor().media_type, MediaType::DOCKER_LAYER_GZIP);
        assert!(one.descriptor().size < 512);
        verify(one.as_ref()).await.unwrap();
        assert_eq!(layer.options.spool.used(), one.descriptor().size);
        drop((one, two, layer.options.spool.clone()));
    }

    #[tokio::test]
    async fn takes_gzip_as_it_is() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        // Two members, as some compressors write.
        let gzip = [testing::compress(&tar[..600]), testing::compress(&tar[600..])].concat();
        let layer = make(&scratch, &gzip, Digest::sha256_of(&tar));
        let blob = layer.blob().await.unwrap();
        assert_eq!(blob.descriptor().digest, Digest::sha256_of(&gzip));
        verify(blob.as_ref()).await.unwrap();
        assert_eq!(layer.options.spool.used(), 0);
    }

    #[tokio::test]
    async fn another_layer_than_the_configuration_names_is_an_error() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        let mut flipped = tar.clone();
        flipped[515] ^= 1;
        for bytes in [flipped.clone(), testing::compress(&flipped)] {
            let layer = make(&scratch, &bytes, Digest::sha256_of(&tar));
            let error = layer.blob().await.unwrap_err();
            assert!(
                matches!(&error, LayerError::DiffId { actual, .. } if *actual == Digest::sha256_of(&flipped))
            );
            assert_eq!(layer.options.spool.used(), 0);
        }
    }

    #[tokio::test]
    async fn truncated_gzip_and_what_cannot_be_checked_are_errors() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        let gzip = testing::compress(&tar);
        let layer = make(&scratch, &gzip[..gzip.len() - 9], Digest::sha256_of(&tar));
        assert!(matches!(layer.blob().await, Err(LayerError::Compress { .. })));
        let layer = make(&scratch, &[0x28, 0xb5, 0x2f, 0xfd, 0, 0], Digest::sha256_of(&tar));
        assert!(matches!(layer.blob().await, Err(LayerError::Unsupported { format: Format::Zstd, .. })));
    }

    #[tokio::test]
    async fn a_full_spool_is_an_error_and_may_have_room_later() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        let mut layer = make(&scratch, &tar, Digest::sha256_of(&tar));
        layer.options.spool = crate::spool::Spool::new(scratch.path(), 20);
        let Err(LayerError::Compress { source, .. }) = layer.blob().await else { panic!("there is no room") };
        assert!(source.to_string().contains("more than 20 bytes"), "{source}");
        layer.options.spool = scratch.options().spool;
        layer.blob().await.unwrap();
    }
}
