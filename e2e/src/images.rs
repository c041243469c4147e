//! Images to push: small ones that run, and bytes that no compression makes smaller.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{Run, Stage};

/// An image that runs, as a docker-archive of one uncompressed layer.
#[derive(Debug)]
pub struct SourceImage {
    /// The archive.
    pub archive: PathBuf,
}

impl SourceImage {
    /// Makes an image of Debian's static busybox, with `content` in a file so that every test has an image of its own.
    ///
    /// # Errors
    /// When busybox is missing.
    pub fn busybox(stage: &Stage, content: &str) -> Result<Self> {
        let (archive, file) = (stage.path("busybox.tar"), stage.path("content.txt"));
        fs::write(&file, content)?;
        let pack = stage.environment.root.join("build/pack");
        Run::new(pack)
            .args([archive.as_os_str()])
            .args(["docker.io/library/e2e:v1", "--uncompressed", "--user", "65532:65532"])
            .args(["--entrypoint", "/bin/busybox", "/bin/busybox:/bin/busybox"])
            .args([format!("{}:/content.txt", file.display())])
            .ok()?;
        Ok(Self { archive })
    }

    /// Writes the image in another form by skopeo, and returns where it is.
    ///
    /// # Errors
    /// When skopeo fails.
    pub fn convert(&self, stage: &Stage, form: &str) -> Result<PathBuf> {
        let target = stage.path(&format!("by-skopeo-{form}"));
        let from = format!("docker-archive:{}", self.archive.display());
        let to = format!("{form}:{}:e2e:v1", target.display());
        Run::new("skopeo").args(["copy", "--insecure-policy", &from, &to]).ok()?;
        Ok(target)
    }
}

/// Returns `count` bytes that no compression makes smaller, other ones for each call.
pub fn random_bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    // Reading random bytes from the kernel does not fail on Linux; a test on zeros would still hold.
    let read =
        fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    let _ = read.context("cannot read random bytes");
    bytes
}
