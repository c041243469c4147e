//! Images of random bytes, which no compression makes smaller, the same for the same seed.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use rand::{RngCore as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::registry::sha256;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image of layers with one file of random bytes each.
#[derive(Clone, Debug)]
pub struct RandomImage {
    layers: Vec<RandomLayer>,
    config: Bytes,
    manifest: Bytes,
}

/// A layer of a [`RandomImage`].
#[derive(Clone, Debug)]
pub struct RandomLayer {
    /// The uncompressed tar.
    pub tar: Bytes,
    /// The tar, compressed.
    pub gzip: Bytes,
}

impl RandomImage {
    /// Makes an image of `count` layers with `size` bytes each.
    ///
    /// # Errors
    /// Never in practice: everything is written to memory.
    pub fn new(seed: u64, count: usize, size: usize) -> io::Result<Self> {
        Self::of_sizes(seed, &vec![size; count])
    }

    /// Makes an image of layers with `sizes` bytes.
    ///
    /// # Errors
    /// Never in practice: everything is written to memory.
    pub fn of_sizes(seed: u64, sizes: &[usize]) -> io::Result<Self> {
        let mut random = StdRng::seed_from_u64(seed);
        let layers =
            sizes.iter().enumerate().map(|(index, size)| RandomLayer::new(&mut random, index, *size));
        let layers: Vec<_> = layers.collect::<io::Result<_>>()?;
        let config = Bytes::from(config(seed, &layers).to_string());
        let manifest = Bytes::from(manifest(&config, &layers).to_string());
        Ok(Self { layers, config, manifest })
    }

    /// Returns the layers, the lowest first.
    pub fn layers(&self) -> &[RandomLayer] {
        &self.layers
    }

    /// Returns the configuration.
    pub const fn config(&self) -> &Bytes {
        &self.config
    }

    /// Returns the OCI manifest, whose layers are compressed.
    pub const fn manifest(&self) -> &Bytes {
        &self.manifest
    }

    /// Returns the manifest's media type.
    pub const fn media_type(&self) -> &'static str {
        MANIFEST
    }

    /// Returns the digest of the manifest.
    pub fn digest(&self) -> String {
        sha256(&self.manifest)
    }

    /// Returns every blob that the manifest names, the configuration first.
    pub fn blobs(&self) -> Vec<Bytes> {
        std::iter::once(&self.config).chain(self.layers.iter().map(|layer| &layer.gzip)).cloned().collect()
    }

    /// Writes a docker-archive, as `docker save` did before version 25: layers uncompressed, named by a `manifest.json`.
    ///
    /// # Errors
    /// As the writer.
    pub fn write_docker_archive(&self, tag: &str, writer: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(writer);
        let config = format!("{}.json", hex(&self.config));
        append(&mut archive, &config, &self.config)?;
        let paths: Vec<String> =
            self.layers.iter().map(|layer| format!("{}/layer.tar", hex(&layer.tar))).collect();
        for (layer, path) in self.layers.iter().zip(&paths) {
            append(&mut archive, path, &layer.tar)?;
        }
        let manifest = json!([{"Config": config, "RepoTags": [tag], "Layers": paths}]);
        append(&mut archive, "manifest.json", manifest.to_string().as_bytes())?;
        archive.into_inner()?.flush()
    }

    /// Writes an OCI archive: an OCI layout in a tar.
    ///
    /// # Errors
    /// As the writer.
    pub fn write_oci_archive(&self, tag: &str, writer: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(writer);
        for (path, bytes) in self.layout(tag) {
            append(&mut archive, &path, &bytes)?;
        }
        archive.into_inner()?.flush()
    }

    /// Writes an OCI layout into a folder.
    ///
    /// # Errors
    /// As the file system.
    pub fn write_oci_layout(&self, tag: &str, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder.join("blobs/sha256"))?;
        self.layout(tag).into_iter().try_for_each(|(path, bytes)| fs::write(folder.join(path), bytes))
    }

    fn layout(&self, tag: &str) -> Vec<(String, Bytes)> {
        let mut entry = descriptor(MANIFEST, &self.manifest);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        let blobs = self.blobs().into_iter().chain([self.manifest.clone()]);
        let blobs = blobs.map(|blob| (format!("blobs/sha256/{}", hex(&blob)), blob));
        let marker = json!({"imageLayoutVersion": "1.0.0"});
        [("oci-layout".into(), marker.to_string().into()), ("index.json".into(), index.to_string().into())]
            .into_iter()
            .chain(blobs)
            .collect()
    }
}

impl RandomLayer {
    fn new(random: &mut StdRng, index: usize, size: usize) -> io::Result<Self> {
        let mut bytes = vec![0; size];
        random.fill_bytes(&mut bytes);
        let mut archive = tar::Builder::new(Vec::new());
        append(&mut archive, &format!("random-{index}.bin"), &bytes)?;
        let tar = Bytes::from(archive.into_inner()?);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&tar)?;
        Ok(Self { tar, gzip: encoder.finish()?.into() })
    }
}

fn config(seed: u64, layers: &[RandomLayer]) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(&layer.tar)).collect();
    json!({
        "created": "2020-01-01T00:00:00Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"seed": seed.to_string()}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

fn manifest(config: &[u8], layers: &[RandomLayer]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, &layer.gzip)).collect();
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": layers})
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "size": bytes.len(), "digest": sha256(bytes)})
}

fn hex(bytes: &[u8]) -> String {
    sha256(bytes).split_off("sha256:".len())
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_image() {
        let digest = |seed| RandomImage::new(seed, 2, 1000).unwrap().digest();
        assert_eq!(digest(1), digest(1));
        assert_ne!(digest(1), digest(2));
    }

    #[test]
    fn archives_hold_every_layer() {
        let image = RandomImage::new(1, 2, 1000).unwrap();
        let mut archive = Vec::new();
        image.write_docker_archive("a:v1", &mut archive).unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let sizes: Vec<u64> = archive.entries().unwrap().map(|entry| entry.unwrap().size()).collect();
        assert_eq!(sizes.iter().filter(|size| **size == image.layers()[0].tar.len() as u64).count(), 2);
    }
}
