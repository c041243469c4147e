//! A layer of a docker-archive: compressed when it is asked for, and checked against its diff ID.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{Arc, OnceLock},
};

use futures::future::BoxFuture;
use tokio::{sync::OnceCell, task::JoinError};

use super::{compress::Compressor, options::Options, parts::label, store::Content};
use crate::{
    blob::Blob,
    blocking::{self, Stop},
    cache::{LayerCache, Stamp},
    compression::Compression,
    decompress::decompress,
    digest::Digest,
    gzip::Format,
    image::{Layer, SourceError},
    manifest::Descriptor,
    measure::{Measure, measure},
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
    /// The layer cannot be compressed into the spool, or is compressed and cannot be decompressed.
    #[error("cannot compress or check layer {layer}")]
    Compress {
        /// The layer's path in the archive, and where it is there.
        layer: String,
        /// What happened.
        #[source]
        source: io::Error,
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
    /// What a registry has confirmed, where the layer was not compressed.
    settled: OnceLock<Descriptor>,
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
        Self {
            work: Arc::new(Work { content, diff_id }),
            options,
            blob: OnceCell::new(),
            settled: OnceLock::new(),
        }
    }

    /// Returns the blob, compressed now if it must be.
    pub(crate) async fn blob(&self) -> Result<Arc<dyn Blob>, LayerError> {
        self.blob.get_or_try_init(|| self.make()).await.cloned()
    }

    /// Returns what the manifest says of the blob, which is compressed now if it must be.
    pub(crate) async fn descriptor(&self) -> Result<Descriptor, LayerError> {
        match (self.blob.get(), self.settled.get()) {
            (None, Some(settled)) => Ok(settled.clone()),
            _ => Ok(self.blob().await?.descriptor().clone()),
        }
    }

    async fn make(&self) -> Result<Arc<dyn Blob>, LayerError> {
        self.run(Work::make).await
    }

    async fn run<T: Send + 'static>(
        &self,
        job: fn(&Work, &Options, &Stop) -> Result<T, LayerError>,
    ) -> Result<T, LayerError> {
        let _permit = self.options.workers.permit().await;
        let (work, options) = (self.work.clone(), self.options.clone());
        let done = blocking::run(move |stop| job(&work, &options, stop)).await;
        done.map_err(|source| LayerError::Broken { layer: self.work.content.origin(), source })?
    }
}

impl Work {
    fn make(&self, options: &Options, stop: &Stop) -> Result<Arc<dyn Blob>, LayerError> {
        let read = |source| LayerError::Read { layer: self.content.origin(), source };
        let format = self.content.format().map_err(read)?;
        let reader = stop.reader(self.content.open().map_err(read)?);
        match format {
            None if options.compression == Compression::None => self.pass(reader),
            None => self.compress(BufReader::with_capacity(READ_BUFFER, reader), options),
            Some(Format::Gzip) => self.check(Format::Gzip, MediaType::DOCKER_LAYER_GZIP, reader),
            Some(Format::Zstd) => self.check(Format::Zstd, MediaType::OCI_LAYER_ZSTD, reader),
            // No registry has these: they are compressed again.
            Some(format @ (Format::Xz | Format::Bzip2)) => {
                let reader = decompress(format, BufReader::with_capacity(READ_BUFFER, reader));
                self.compress(reader.map_err(|source| self.failed(source))?, options)
            }
        }
    }

    fn failed(&self, source: io::Error) -> LayerError {
        LayerError::Compress { layer: self.content.origin(), source }
    }

    /// Finds what the layer became before, and measures it then.
    fn remember(&self, options: &Options, stop: &Stop) -> Result<Option<Descriptor>, LayerError> {
        let Some(cache) = &options.cache else { return Ok(None) };
        let Some(known) = cache.find(&self.diff_id, &options.compression.to_string()) else {
            return Ok(None);
        };
        let read = |source| LayerError::Read { layer: self.content.origin(), source };
        if self.content.format().map_err(read)?.is_some() {
            return Ok(None); // it goes as it is
        }
        let stamp = self.content.stamp();
        let diff_id = if let Some(measured) = stamp.as_ref().and_then(|stamp| cache.measured(stamp)) {
            measured
        } else {
            let (diff_id, _) = measure(stop.reader(self.content.open().map_err(read)?)).map_err(read)?;
            self.note(cache, stamp, &diff_id);
            diff_id
        };
        self.check_diff_id(&diff_id)?;
        Ok(Some(Descriptor::new(layer_type(options.compression), known.digest, known.size)))
    }

    /// Keeps what was measured of a file that is as it was before.
    fn note(&self, cache: &LayerCache, before: Option<Stamp>, diff_id: &Digest) {
        if let Some(stamp) = before.filter(|stamp| self.content.stamp().as_ref() == Some(stamp)) {
            cache.keep_measured(stamp, diff_id.clone(), self.content.size);
        }
    }

    fn compress(&self, mut reader: impl Read, options: &Options) -> Result<Arc<dyn Blob>, LayerError> {
        let failed = |source| self.failed(source);
        let stamp = self.content.stamp();
        let mut compressor = Compressor::new(options).map_err(failed)?;
        io::copy(&mut reader, &mut compressor).map_err(failed)?;
        let compressed = compressor.finish().map_err(failed)?;
        if let Some(cache) = &options.cache {
            self.note(cache, stamp, &compressed.diff_id);
        }
        self.check_diff_id(&compressed.diff_id)?;
        let descriptor = compressed.descriptor(layer_type(options.compression));
        Ok(compressed.into_blob(descriptor))
    }

    /// Takes a layer that is to stay uncompressed, where it is.
    fn pass(&self, reader: impl Read) -> Result<Arc<dyn Blob>, LayerError> {
        let failed = |source| LayerError::Read { layer: self.content.origin(), source };
        let (diff_id, size) = measure(reader).map_err(failed)?;
        self.check_diff_id(&diff_id)?;
        Ok(self.content.blob(Descriptor::new(layer_type(Compression::None), diff_id, size)))
    }

    /// Takes a layer that is compressed already, as it is.
    fn check(
        &self,
        format: Format,
        media_type: MediaType,
        reader: impl Read,
    ) -> Result<Arc<dyn Blob>, LayerError> {
        let mut reader = BufReader::with_capacity(READ_BUFFER, Measure::new(reader));
        let diff_id = digest_within(format, &mut reader).map_err(|source| self.failed(source))?;
        self.check_diff_id(&diff_id)?;
        let (_, digest, size) = reader.into_inner().finish();
        Ok(self.content.blob(Descriptor::new(media_type, digest, size)))
    }

    fn check_diff_id(&self, actual: &Digest) -> Result<(), LayerError> {
        if *actual == self.diff_id {
            return Ok(());
        }
        let (layer, expected) = (self.content.origin(), self.diff_id.clone());
        Err(LayerError::DiffId { layer, expected, actual: actual.clone() })
    }
}

/// Computes the digest of what is compressed in `reader`, and reads it to its end, whatever the decompressor leaves.
fn digest_within(format: Format, reader: &mut impl BufRead) -> io::Result<Digest> {
    let mut plain = Measure::new(decompress(format, &mut *reader)?);
    io::copy(&mut plain, &mut io::sink())?;
    let (_, diff_id, _) = plain.finish();
    io::copy(reader, &mut io::sink())?;
    Ok(diff_id)
}

/// Returns the media type of a layer: docker's where it has one, which all registries and runtimes know.
fn layer_type(compression: Compression) -> MediaType {
    match compression {
        Compression::Gzip(_) | Compression::GzipSingleMember(_) => MediaType::DOCKER_LAYER_GZIP,
        Compression::None | Compression::Zstd(_) => compression.layer_type(),
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

    fn remembered(&self) -> BoxFuture<'_, Result<Option<Descriptor>, SourceError>> {
        Box::pin(async { Ok(self.run(Work::remember).await?) })
    }

    fn settle(&self, remembered: Descriptor) {
        // Whatever a registry confirmed first is as good.
        let _ = self.settled.set(remembered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::testing::{self, Scratch},
        blob::verify,
        gzip::Level,
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
    async fn compresses_as_it_is_told() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        let cases = [
            (Compression::GzipSingleMember(Level::default()), MediaType::DOCKER_LAYER_GZIP),
            (Compression::ZSTD, MediaType::OCI_LAYER_ZSTD),
            (Compression::None, MediaType::OCI_LAYER),
        ];
        for (compression, media_type) in cases {
            let mut layer = make(&scratch, &tar, Digest::sha256_of(&tar));
            layer.options.compression = compression;
            let blob = layer.blob().await.unwrap();
            assert_eq!(blob.descriptor().media_type, media_type);
            verify(blob.as_ref()).await.unwrap();
            let is_spooled = layer.options.spool.used() == blob.descriptor().size;
            assert_eq!(is_spooled, compression != Compression::None, "what stays as it is needs no spool");
        }
    }

    #[tokio::test]
    async fn what_a_layer_became_is_remembered_once_it_is_measured() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        let with_cache = |bytes: &[u8]| {
            let mut layer = make(&scratch, bytes, Digest::sha256_of(&tar));
            layer.options.cache = Some(LayerCache::new(scratch.path().join("cache")));
            layer
        };
        assert_eq!(with_cache(&tar).remembered().await.unwrap(), None);
        let made = with_cache(&tar).blob().await.unwrap().descriptor().clone();

        let layer = with_cache(&tar);
        assert_eq!(layer.remembered().await.unwrap().as_ref(), Some(&made));
        assert!(layer.ready().is_none(), "nobody has confirmed it");
        layer.settle(made.clone());
        assert_eq!(layer.descriptor().await.unwrap(), made);
        assert!(layer.ready().is_none() && layer.options.spool.used() == 0, "it was compressed");
        verify(layer.prepare().await.unwrap().as_ref()).await.unwrap();

        let mut layer = with_cache(&tar);
        layer.options.compression = Compression::ZSTD;
        assert_eq!(layer.remembered().await.unwrap(), None, "it is of another encoder");
        let mut flipped = tar.clone();
        flipped[515] ^= 1;
        let error = with_cache(&flipped).remembered().await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(LayerError::DiffId { .. })), "{error}");
        let gzip = testing::compress(&tar);
        assert_eq!(with_cache(&gzip).remembered().await.unwrap(), None, "it goes as it is");
    }

    #[tokio::test]
    async fn a_file_that_nobody_touched_is_not_read_again() {
        let scratch = Scratch::new();
        // A file that is older than this test, of whatever content.
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let bytes = std::fs::read(&path).unwrap();
        let content = Content::file("layer.tar".into(), path, bytes.len() as u64);
        let stamp = content.stamp().unwrap();
        let cache = LayerCache::new(scratch.path().join("cache"));
        let layer = || {
            let mut layer = DockerLayer::new(content.clone(), Digest::sha256_of(&bytes), scratch.options());
            layer.options.cache = Some(cache.clone());
            layer
        };
        let made = layer().blob().await.unwrap().descriptor().clone();
        assert_eq!(cache.measured(&stamp), Some(Digest::sha256_of(&bytes)));
        assert_eq!(layer().remembered().await.unwrap(), Some(made));
        // What the cache says of the file is believed, so the file was not read.
        let other = Digest::sha256_of("other");
        cache.keep_measured(stamp, other.clone(), 1);
        let error = layer().remembered().await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(LayerError::DiffId { actual, .. }) if *actual == other));
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
        let plain = (flipped.clone(), Compression::default());
        let gzip = (testing::compress(&flipped), Compression::default());
        for (bytes, compression) in [plain, gzip, (flipped.clone(), Compression::None)] {
            let mut layer = make(&scratch, &bytes, Digest::sha256_of(&tar));
            layer.options.compression = compression;
            let error = layer.blob().await.unwrap_err();
            assert!(
                matches!(&error, LayerError::DiffId { actual, .. } if *actual == Digest::sha256_of(&flipped))
            );
            assert_eq!(layer.options.spool.used(), 0);
        }
    }

    #[tokio::test]
    async fn takes_zstandard_as_it_is_and_compresses_the_rest_again() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        let zstd = testing::compress_by(Format::Zstd, &tar);
        let blob = make(&scratch, &zstd, Digest::sha256_of(&tar)).blob().await.unwrap();
        assert_eq!(blob.descriptor().digest, Digest::sha256_of(&zstd));
        assert_eq!(blob.descriptor().media_type, MediaType::OCI_LAYER_ZSTD);
        let plain = make(&scratch, &tar, Digest::sha256_of(&tar)).blob().await.unwrap();
        for format in [Format::Xz, Format::Bzip2] {
            let bytes = testing::compress_by(format, &tar);
            let blob = make(&scratch, &bytes, Digest::sha256_of(&tar)).blob().await.unwrap();
            assert_eq!(blob.descriptor(), plain.descriptor());
        }
    }

    #[tokio::test]
    async fn truncated_layers_are_errors() {
        let scratch = Scratch::new();
        let tar = testing::layer("content");
        for format in [Format::Gzip, Format::Zstd, Format::Xz, Format::Bzip2] {
            let bytes = testing::compress_by(format, &tar);
            let layer = make(&scratch, &bytes[..bytes.len() - 3], Digest::sha256_of(&tar));
            assert!(matches!(layer.blob().await, Err(LayerError::Compress { .. })), "{format}");
        }
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
