//! Configurations and layers that need no work.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{
    blob::{Blob, MemoryBlob},
    digest::Digest,
    image::{Layer, SourceError},
    manifest::Descriptor,
    media_type::MediaType,
};

/// How many hexadecimal digits of a digest make a label, as docker shows them.
const LABEL_DIGITS: usize = 12;

/// A configuration or layer that goes as it is.
#[derive(Debug)]
pub(crate) struct ReadyPart {
    label: String,
    blob: Arc<dyn Blob>,
}

impl ReadyPart {
    /// Takes a blob.
    pub(crate) fn new(label: String, blob: Arc<dyn Blob>) -> Self {
        Self { label, blob }
    }

    /// Takes a configuration's bytes.
    pub(crate) fn config(media_type: MediaType, bytes: Bytes) -> Self {
        let descriptor = Descriptor::new(media_type, Digest::sha256_of(&bytes), bytes.len() as u64);
        Self::new("config".into(), Arc::new(MemoryBlob::new(descriptor, bytes)))
    }

    /// Returns the blob.
    pub(crate) fn into_blob(self) -> Arc<dyn Blob> {
        self.blob
    }

    /// Returns the descriptor.
    pub(crate) fn descriptor(&self) -> &Descriptor {
        self.blob.descriptor()
    }
}

impl Layer for ReadyPart {
    fn diff_id(&self) -> Option<&Digest> {
        None
    }

    fn label(&self) -> String {
        self.label.clone()
    }

    fn ready(&self) -> Option<Arc<dyn Blob>> {
        Some(self.blob.clone())
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Arc<dyn Blob>, SourceError>> {
        Box::pin(std::future::ready(Ok(self.blob.clone())))
    }
}

/// Makes a layer's label of its digest.
pub(crate) fn label(digest: &Digest) -> String {
    digest.hex()[..LABEL_DIGITS].into()
}
