//! Images and indexes as immutable views, whatever they come from.
//!
//! Sources (archives, layouts, files, registries) give [`Artifact`]s; sinks (a registry, an archive) take them; push, pull
//! and copy only compose the two.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

use crate::{
    blob::Blob,
    digest::Digest,
    manifest::{Descriptor, RawManifest},
};

/// Why a part of an image cannot be had from its source: a boxed error of the source's own type.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// An image, or an index of images.
#[derive(Clone, Debug)]
pub enum Artifact {
    /// One image.
    Image(Arc<dyn Image>),
    /// An index of images and indexes.
    Index(Arc<dyn Index>),
}

impl Artifact {
    /// Returns the image's manifest, or the index.
    ///
    /// # Errors
    /// As [`Image::manifest`].
    ///
    /// # Cancel safety
    /// As [`Layer::prepare`].
    pub async fn manifest(&self) -> Result<RawManifest, SourceError> {
        match self {
            Self::Image(image) => image.manifest().await,
            Self::Index(index) => Ok(index.manifest().clone()),
        }
    }

    /// Returns the manifest where the source holds it as it is.
    pub fn ready_manifest(&self) -> Option<&RawManifest> {
        match self {
            Self::Image(image) => image.ready_manifest(),
            Self::Index(index) => Some(index.manifest()),
        }
    }
}

/// A layer or a configuration of an image.
pub trait Layer: Send + Sync + fmt::Debug {
    /// Returns the digest of the uncompressed tar where the source knows it. It is for display, not verified.
    fn diff_id(&self) -> Option<&Digest>;

    /// Returns a short name for progress bars.
    fn label(&self) -> String;

    /// Returns the blob as a registry gets it, if that is known without work.
    fn ready(&self) -> Option<Arc<dyn Blob>>;

    /// Returns the blob as a registry gets it: compresses it now if it must be, once, however often this is called.
    ///
    /// # Errors
    /// When the source cannot be read, or does not hold what it says.
    ///
    /// # Cancel safety
    /// Work that was begun goes on or starts again at the next call.
    fn prepare(&self) -> BoxFuture<'_, Result<Arc<dyn Blob>, SourceError>>;

    /// Returns what the blob became when the same bytes were prepared before, if that is remembered. The bytes are read and measured
    /// for it, which is far quicker than to compress them.
    ///
    /// Nobody vouches for what is remembered: it is good where a registry confirms a blob of this digest and size. Then
    /// [`Layer::settle`] spares the preparation.
    ///
    /// # Errors
    /// When the source cannot be read, or does not hold what it says.
    ///
    /// # Cancel safety
    /// Work that was begun is lost.
    fn remembered(&self) -> BoxFuture<'_, Result<Option<Descriptor>, SourceError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Takes what is remembered for the blob, unless it is prepared: a registry has confirmed it, and the manifest may name it.
    fn settle(&self, _remembered: Descriptor) {}
}

/// An immutable image.
pub trait Image: Send + Sync + fmt::Debug {
    /// Returns configuration and layers, in the order in which the manifest names them (the configuration first).
    fn parts(&self) -> &[Arc<dyn Layer>];

    /// Returns the manifest; prepares every part that is not settled first where the manifest is made here.
    ///
    /// # Errors
    /// As [`Layer::prepare`].
    fn manifest(&self) -> BoxFuture<'_, Result<RawManifest, SourceError>>;

    /// Returns the manifest where the source holds it as it is, so that others may refer to it by its digest.
    fn ready_manifest(&self) -> Option<&RawManifest> {
        None
    }
}

/// An immutable index.
pub trait Index: Send + Sync + fmt::Debug {
    /// Returns the index's own bytes.
    fn manifest(&self) -> &RawManifest;

    /// Returns the children, in the index's order.
    fn children(&self) -> &[Artifact];
}
