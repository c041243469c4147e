//! What is pushed: a docker-archive of real files, the same with another top layer, and an OCI layout.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read as _, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use reposure_oci::{Algorithm, Digest, Digester};
use reposure_testing::RandomImage;
use serde_json::json;

/// The lower layers' size, in bytes, of a base image and of dependencies.
const LAYER: u64 = 256 << 20;
/// The top layer's size, in bytes, of what changes with each build.
const TOP: u64 = 24 << 20;
/// The layers of the OCI layout, in bytes.
const LAYOUT: [usize; 5] = [60 << 20, 60 << 20, 60 << 20, 60 << 20, 16 << 20];

/// The sources on disk.
pub(crate) struct Sources {
    pub(crate) archive: PathBuf,
    pub(crate) changed: PathBuf,
    pub(crate) layout: PathBuf,
    pub(crate) archive_text: String,
    pub(crate) layout_text: String,
}

/// A layer that is written.
struct Layer {
    file: PathBuf,
    diff_id: Digest,
}

impl Sources {
    /// Makes them in `folder`, of `size` bytes of the files in `real`, or of the Rust toolchain.
    pub(crate) fn make(folder: &Path, real: Option<&Path>, size: u64) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let real = real.map_or_else(toolchain, |real| Ok(real.into()))?;
        let mut files = files(&real)?.into_iter();
        let mut layers = Vec::new();
        let mut left = size.saturating_sub(TOP);
        while left > 0 {
            layers.push(layer(folder, layers.len(), &real, &mut files, LAYER.min(left))?);
            left = left.saturating_sub(LAYER);
        }
        let top = layer(folder, layers.len(), &real, &mut files, TOP)?;
        let other = layer(folder, layers.len() + 1, &real, &mut files, TOP)?;
        layers.push(top);
        let (archive, changed) = (folder.join("archive.tar"), folder.join("changed.tar"));
        write_archive(&archive, &layers)?;
        fs::remove_file(&layers.pop().context("no top")?.file)?;
        layers.push(other);
        write_archive(&changed, &layers)?;
        let archive_text = format!(
            "{} layers, {} MiB, of {}",
            layers.len(),
            archive.metadata()?.len() >> 20,
            real.display()
        );
        for layer in layers {
            fs::remove_file(layer.file)?;
        }
        let layout = folder.join("layout");
        RandomImage::of_sizes(1, &LAYOUT)?.write_oci_layout("v1", &layout)?;
        let layout_text =
            format!("{} layers, {} MiB, incompressible", LAYOUT.len(), LAYOUT.iter().sum::<usize>() >> 20);
        Ok(Self { archive, changed, layout, archive_text, layout_text })
    }
}

/// Writes a docker-archive of one layer with one file of `size` bytes, which compress to a third.
pub(crate) fn large(folder: &Path, size: u64) -> Result<PathBuf> {
    let block: Vec<u8> =
        reposure_e2e::random_bytes(1 << 20).chunks(4).flat_map(|word| word.repeat(4)).collect();
    let file = folder.join("layer-large");
    let diff_id = write_layer(&file, |tar| {
        let content = Blocks { block: &block, at: 0 }.take(size);
        Ok(tar.append_data(&mut header(size), "large", content)?)
    })?;
    let archive = folder.join("large.tar");
    let layer = Layer { file, diff_id };
    write_archive(&archive, std::slice::from_ref(&layer))?;
    fs::remove_file(layer.file)?;
    Ok(archive)
}

/// One block again and again, each time begun elsewhere.
struct Blocks<'a> {
    block: &'a [u8],
    at: usize,
}

impl io::Read for Blocks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A prime, so that no two stretches of the layer are the same for long.
        self.at = (self.at + 65_537) % self.block.len();
        let rest = &self.block[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

fn toolchain() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("there is no rustc")?;
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// Lists the files of a folder, by their paths.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a layer of the next files, until it has `size` bytes.
fn layer(
    folder: &Path,
    number: usize,
    real: &Path,
    files: &mut impl Iterator<Item = PathBuf>,
    size: u64,
) -> Result<Layer> {
    let file = folder.join(format!("layer{number}"));
    let diff_id = write_layer(&file, |tar| {
        let mut written = 0;
        while written < size {
            let path = files.next().context("the folder has too few files: name a larger one, or --size")?;
            let content = File::open(&path)?;
            let length = content.metadata()?.len();
            tar.append_data(&mut header(length), path.strip_prefix(real)?, content)?;
            written += length;
        }
        Ok(())
    })?;
    Ok(Layer { file, diff_id })
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header
}

/// Writes a tar and returns its digest.
fn write_layer(
    path: &Path,
    write: impl FnOnce(&mut tar::Builder<&mut Measured>) -> Result<()>,
) -> Result<Digest> {
    let file = BufWriter::new(File::create(path)?);
    let mut measured = Measured { file, digester: Digester::new(Algorithm::Sha256) };
    let mut tar = tar::Builder::new(&mut measured);
    write(&mut tar)?;
    tar.into_inner()?.flush()?;
    Ok(measured.digester.finish())
}

struct Measured {
    file: BufWriter<File>,
    digester: Digester,
}

impl Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.digester.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn write_archive(path: &Path, layers: &[Layer]) -> Result<()> {
    ensure!(!layers.is_empty(), "no layers");
    let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
    let config = json!({"os": "linux", "architecture": "amd64", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    .to_string();
    let name = format!("{}.json", Digest::sha256_of(&config).hex());
    let mut archive = tar::Builder::new(BufWriter::new(File::create(path)?));
    let mut append =
        |name: &str, bytes: &[u8]| archive.append_data(&mut header(bytes.len() as u64), name, bytes);
    append(&name, config.as_bytes())?;
    let names: Vec<_> = layers.iter().map(|layer| format!("{}/layer.tar", layer.diff_id.hex())).collect();
    let manifest = json!([{"Config": name, "RepoTags": ["bench/app:v1"], "Layers": names}]);
    append("manifest.json", manifest.to_string().as_bytes())?;
    for (layer, name) in layers.iter().zip(&names) {
        let file = File::open(&layer.file)?;
        archive.append_data(&mut header(file.metadata()?.len()), name, file)?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}
