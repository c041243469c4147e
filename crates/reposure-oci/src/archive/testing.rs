//! Small archives for tests, built in memory.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::{
    archive::{Options, docker_image::DockerImage, parts::ReadyPart},
    digest::Digest,
    gzip,
    image::Artifact,
    media_type::MediaType,
    spool::Spool,
};

/// A tar that is being built.
pub(crate) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(crate) fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        let mut header = header(EntryType::Regular, content.len());
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    /// Adds a file whose path is not checked.
    pub(crate) fn raw_file(mut self, path: &[u8], content: &str) -> Self {
        let mut header = header(EntryType::Regular, content.len());
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path);
        header.set_cksum();
        self.0.append(&header, content.as_bytes()).unwrap();
        self
    }

    pub(crate) fn symlink(mut self, path: &str, target: &str) -> Self {
        self.0.append_link(&mut header(EntryType::Symlink, 0), path, target).unwrap();
        self
    }

    pub(crate) fn hardlink(mut self, path: &str, target: &str) -> Self {
        self.0.append_link(&mut header(EntryType::Link, 0), path, target).unwrap();
        self
    }

    pub(crate) fn sparse(mut self, path: &str) -> Self {
        let mut header = header(EntryType::GNUSparse, 0);
        header.as_gnu_mut().unwrap().set_real_size(0);
        self.0.append_data(&mut header, path, &b""[..]).unwrap();
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header
}

/// An uncompressed layer with one file.
pub(crate) fn layer(content: &str) -> Vec<u8> {
    Tar::new().file("file", content).bytes()
}

pub(crate) fn compress(bytes: &[u8]) -> Vec<u8> {
    compress_by(gzip::Format::Gzip, bytes)
}

pub(crate) fn compress_by(format: gzip::Format, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        gzip::Format::Gzip => write(GzEncoder::new(&mut out, flate2::Compression::fast()), bytes),
        gzip::Format::Xz => write(liblzma::write::XzEncoder::new(&mut out, 1), bytes),
        gzip::Format::Bzip2 => {
            write(bzip2::write::BzEncoder::new(&mut out, bzip2::Compression::fast()), bytes);
        }
        gzip::Format::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(&mut out, 1).unwrap();
            // As the program `zstd` does.
            encoder.include_checksum(true).unwrap();
            write(encoder.auto_finish(), bytes);
        }
    }
    out
}

fn write(mut encoder: impl Write, bytes: &[u8]) {
    // They end when they are dropped.
    encoder.write_all(bytes).unwrap();
}

/// A configuration with the diff IDs of `layers`.
pub(crate) fn config(layers: &[&[u8]]) -> String {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::sha256_of(layer).to_string()).collect();
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        .to_string()
}

/// The path of a blob in a layout.
pub(crate) fn blob_path(content: impl AsRef<[u8]>) -> String {
    format!("blobs/sha256/{}", Digest::sha256_of(content).hex())
}

/// A descriptor of `content`, as JSON.
pub(crate) fn describe(media_type: &MediaType, content: impl AsRef<[u8]>) -> Value {
    let content = content.as_ref();
    json!({"mediaType": media_type, "digest": Digest::sha256_of(content), "size": content.len()})
}

/// An OCI manifest of an image with these layers as they are.
pub(crate) fn manifest(config: &str, layers: &[&[u8]]) -> String {
    let layer_type = |bytes: &&[u8]| match gzip::Format::of(bytes) {
        Some(_) => MediaType::OCI_LAYER_GZIP,
        None => MediaType::OCI_LAYER,
    };
    let layers: Vec<_> = layers.iter().map(|layer| describe(&layer_type(layer), layer)).collect();
    // Not in the form that this crate would write, so that a rewritten manifest shows.
    format!(
        "{{ \"schemaVersion\": 2,\n \"x-unknown\": true, \"layers\": {}, \"config\": {} }}",
        Value::Array(layers),
        describe(&MediaType::OCI_CONFIG, config)
    )
}

/// An index of these descriptors.
pub(crate) fn index(manifests: &[Value]) -> String {
    json!({"schemaVersion": 2, "manifests": manifests}).to_string()
}

pub(crate) const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// A folder with an archive in it, and options that spool beside it.
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Leaves out where the folder is, which differs each time.
    pub(crate) fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.path().display()), "")
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(Spool::new(self.path(), 64 << 20))
    }
}

/// An image without layers.
pub(crate) fn artifact() -> Artifact {
    let config = ReadyPart::config(MediaType::DOCKER_CONFIG, Bytes::from(config(&[])));
    Artifact::Image(Arc::new(DockerImage::new(config, Vec::new())))
}
