//! A registry in memory and a client of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use reposure_oci::{
    Body, Digest, DirectOptions, DirectTransport, Endpoint, MediaType, RawManifest, RepositoryName, Scheme,
    TrustAnchors,
    auth::{Credentials, FixedCredentials},
    registry::{Client, Failure, Limits},
};
use reposure_testing::{MemoryRegistry, Options, Quirks, RandomImage};

/// Long enough for a busy machine, short enough to wait for.
pub(crate) const SHORT: Duration = Duration::from_secs(1);

pub(crate) struct Fixture {
    pub(crate) registry: MemoryRegistry,
    pub(crate) client: Client<DirectTransport>,
}

pub(crate) fn limits() -> Limits {
    Limits { pause: Duration::from_millis(5), ..Limits::default() }
}

pub(crate) fn options(registry: &MemoryRegistry) -> DirectOptions {
    let scheme = if registry.authority().is_some() { Scheme::Https } else { Scheme::Http };
    let mut options = DirectOptions::new(Endpoint::new(scheme, &registry.host()).unwrap());
    if let Some(pem) = registry.authority() {
        options.trust = TrustAnchors::Pem(pem.into());
    }
    options
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default(), Credentials::Anonymous).await
    }

    pub(crate) async fn with_quirks(change: impl FnOnce(&mut Quirks)) -> Self {
        let fixture = Self::new().await;
        fixture.registry.change_quirks(change);
        fixture
    }

    pub(crate) async fn with(options: Options, credentials: Credentials) -> Self {
        let registry = MemoryRegistry::start(options).await.unwrap();
        let mut direct = self::options(&registry);
        direct.credentials = Arc::new(FixedCredentials::from(credentials));
        let client = Client::with_limits(DirectTransport::new(direct).unwrap(), limits());
        Self { registry, client }
    }

    pub(crate) fn with_limits(mut self, limits: Limits) -> Self {
        self.client = Client::with_limits(self.client.transport().clone(), limits);
        self
    }

    /// Stores a small image by the registry's back door.
    pub(crate) fn put_image(&self, repository: &str, tag: &str, seed: u64) -> Digest {
        self.put(repository, tag, &RandomImage::new(seed, 1, 1000).unwrap())
    }

    /// Stores an image by the registry's back door.
    pub(crate) fn put(&self, repository: &str, tag: &str, image: &RandomImage) -> Digest {
        for blob in image.blobs() {
            self.registry.put_blob(repository, blob);
        }
        let manifest = image.manifest().clone();
        self.registry.put_manifest(repository, Some(tag), image.media_type(), manifest).parse().unwrap()
    }
}

pub(crate) fn basic() -> Credentials {
    Credentials::Basic { username: "ann".into(), password: "hush".into() }
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn manifest(image: &RandomImage) -> RawManifest {
    RawManifest::new(MediaType::new(image.media_type()), image.manifest().clone()).unwrap()
}

/// Bytes that are the same each time, and their digest.
pub(crate) fn content(size: usize) -> (Bytes, Digest) {
    let block: Vec<u8> = (0..=250).collect();
    let mut bytes = block.repeat(size.div_ceil(block.len()));
    bytes.truncate(size);
    let digest = Digest::sha256_of(&bytes);
    (bytes.into(), digest)
}

/// A body of pieces whose length is not told.
pub(crate) fn streamed(bytes: &Bytes, piece: usize) -> Body {
    let pieces: Vec<_> = (0..bytes.len().div_ceil(piece))
        .map(|index| Ok(Frame::data(bytes.slice(index * piece..((index + 1) * piece).min(bytes.len())))))
        .collect();
    StreamBody::new(stream::iter(pieces)).boxed_unsync()
}

pub(crate) fn failure<T: std::fmt::Debug>(result: Result<T, reposure_oci::registry::Error>) -> Failure {
    *result.unwrap_err().failure
}
