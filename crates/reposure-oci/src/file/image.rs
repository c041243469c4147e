//! The image whose one layer holds a file.

use std::{path::Path, sync::Arc};

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::{
    config,
    layer::{FileError, FileLayer, base_name},
};
use crate::{
    archive::{Options, docker_image::write_manifest, parts::ReadyPart},
    blob::Blob,
    digest::Digest,
    image::{Artifact, Image, Layer, SourceError},
    manifest::{Platform, RawManifest},
    media_type::MediaType,
};

/// The annotation of a manifest that says: this image is a file, of the name that is the value.
pub const FILE_ANNOTATION: &str = "cloud.puccini.reposure.file";

/// Makes an image of the file at `path`, which is read when the image is asked for its layer.
pub(crate) fn image(path: &Path, options: &Options) -> Artifact {
    let name = base_name(path);
    let layer = Arc::new(FileLayer::new(path.into(), name.clone(), options.clone()));
    let platform = options.platform.clone();
    let config = FileConfig { layer: layer.clone(), name: name.clone(), platform, made: OnceCell::new() };
    let config = Arc::new(config);
    let parts: [Arc<dyn Layer>; 2] = [config.clone(), layer.clone()];
    Artifact::Image(Arc::new(FileImage { parts, config, layer, name }))
}

#[derive(Debug)]
struct FileImage {
    parts: [Arc<dyn Layer>; 2],
    config: Arc<FileConfig>,
    layer: Arc<FileLayer>,
    name: String,
}

impl FileImage {
    async fn make_manifest(&self) -> Result<RawManifest, FileError> {
        let config = self.config.made().await?.descriptor().clone();
        let layer = self.layer.descriptor().await?;
        let annotations = [(FILE_ANNOTATION.into(), self.name.clone())];
        write_manifest(MediaType::OCI_MANIFEST, config, vec![layer], annotations).map_err(FileError::Manifest)
    }
}

impl Image for FileImage {
    fn parts(&self) -> &[Arc<dyn Layer>] {
        &self.parts
    }

    fn manifest(&self) -> BoxFuture<'_, Result<RawManifest, SourceError>> {
        Box::pin(async {
            // Made anew each time: a layer that was settled for one registry may be prepared for another one.
            self.make_manifest().await.map_err(Into::into)
        })
    }
}

/// The configuration, which holds the layer's diff ID and so has to wait for the layer.
#[derive(Debug)]
struct FileConfig {
    layer: Arc<FileLayer>,
    name: String,
    platform: Platform,
    made: OnceCell<Arc<dyn Blob>>,
}

impl FileConfig {
    async fn made(&self) -> Result<Arc<dyn Blob>, FileError> {
        self.made.get_or_try_init(|| self.make()).await.cloned()
    }

    async fn make(&self) -> Result<Arc<dyn Blob>, FileError> {
        let diff_id = self.layer.measured().await?;
        let bytes = config::write(&self.name, &diff_id, &self.platform).map_err(FileError::Config)?;
        Ok(ReadyPart::config(MediaType::OCI_CONFIG, bytes.into()).into_blob())
    }
}

impl Layer for FileConfig {
    fn diff_id(&self) -> Option<&Digest> {
        None
    }

    fn label(&self) -> String {
        "config".into()
    }

    fn ready(&self) -> Option<Arc<dyn Blob>> {
        self.made.get().cloned()
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Arc<dyn Blob>, SourceError>> {
        Box::pin(async { self.made().await.map_err(Into::into) })
    }
}
