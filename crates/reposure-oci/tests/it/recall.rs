//! Pushes of layers that were compressed before.

use std::path::Path;

use http::Method;
use reposure_oci::{
    Artifact, Digest, LayerCache, Spool, archive,
    transfer::{Event, How, Progress, PushError, PushOptions, push},
};
use reposure_testing::{Fault, Injection, RandomImage};

use crate::fixture::Fixture;

const LAYERS: usize = 2;
/// Room for the layers.
const ROOM: u64 = 64 << 20;

/// An archive whose layers are remembered beside it.
struct Archive(tempfile::TempDir);

impl Archive {
    fn new() -> Self {
        let archive = Self(tempfile::tempdir().unwrap());
        let file = std::fs::File::create(archive.path()).unwrap();
        RandomImage::new(1, LAYERS, 100_000).unwrap().write_docker_archive("app:v1", file).unwrap();
        archive
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder().join("images.tar")
    }

    /// Opens it anew, with so much room for what is compressed, in bytes.
    async fn open(&self, room: u64) -> Artifact {
        let mut options = archive::Options::new(Spool::new(self.folder(), room));
        options.cache = Some(LayerCache::new(self.folder().join("cache")));
        archive::open(self.path(), options).await.unwrap().entries.remove(0).artifact
    }

    /// Pushes it and returns its digest, and how the layers came there.
    async fn push(&self, fixture: &Fixture, name: &str, room: u64) -> Result<(Digest, Vec<How>), PushError> {
        let (progress, mut events) = Progress::channel();
        let (artifact, options) = (self.open(room).await, PushOptions::default());
        let digest = push(&fixture.client, &artifact, &name.parse().unwrap(), &options, progress).await?;
        let (mut layers, mut hows) = (Vec::new(), Vec::new());
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Began { part, size: None, .. } => layers.push(part),
                Event::Finished { part, how } if layers.contains(&part) => hows.push(how),
                _ => {}
            }
        }
        assert_eq!(layers.len(), LAYERS);
        Ok((digest, hows))
    }
}

#[tokio::test]
async fn what_the_registry_has_is_not_compressed_again() {
    let (fixture, archive) = (Fixture::new().await, Archive::new());
    let (digest, hows) = archive.push(&fixture, "a:v1", ROOM).await.unwrap();
    assert_eq!(hows, [How::Uploaded; LAYERS]);
    // There is no room for anything that is compressed.
    let again = archive.push(&fixture, "a:v2", 1).await.unwrap();
    assert_eq!(again, (digest, vec![How::Existed; LAYERS]));
    assert_eq!(fixture.registry.manifest("a", "v2"), fixture.registry.manifest("a", "v1"));
    let other = archive.push(&fixture, "b:v1", 1).await;
    assert!(matches!(other, Err(PushError::Source { .. })), "{other:?}");
}

#[tokio::test]
async fn what_the_registry_has_lost_is_compressed_and_sent_again() {
    let (before, archive) = (Fixture::new().await, Archive::new());
    let (digest, _) = archive.push(&before, "a:v1", ROOM).await.unwrap();
    let fixture = Fixture::new().await;
    let again = archive.push(&fixture, "a:v1", ROOM).await.unwrap();
    assert_eq!(again, (digest, vec![How::Uploaded; LAYERS]));
    assert_eq!(fixture.registry.manifest("a", "v1"), before.registry.manifest("a", "v1"));
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_compressed() {
    let (fixture, archive) = (Fixture::new().await, Archive::new());
    let (digest, _) = archive.push(&fixture, "a:v1", ROOM).await.unwrap();
    let manifest = fixture.registry.manifest("a", "v1").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let path = format!("/blobs/{}", layer["digest"].as_str().unwrap());
        fixture.registry.inject(Injection::next(Method::HEAD, path, Fault::code(403, "DENIED")));
    }
    let again = archive.push(&fixture, "a:v2", ROOM).await.unwrap();
    assert_eq!(again, (digest, vec![How::Existed; LAYERS]));
    assert_eq!(fixture.registry.count(&Method::HEAD, "/blobs/"), 2 * (LAYERS + 1) + LAYERS);
}
