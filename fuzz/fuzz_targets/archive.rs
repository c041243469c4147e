//! Opens any bytes as an archive of images. What opens holds what it says, or says that it does not.

#![no_main]

use std::{fs, num::NonZeroUsize, path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use reposure_oci::{
    Artifact, Digest, Image, Manifest, Spool,
    archive::{self, Form, Options, Workers},
    blob::verify,
    compression::Compression,
    gzip::Level,
};
use tokio::runtime::{Builder, Runtime};

/// Room for what comes out of the archive, in bytes.
const SPOOL: u64 = 1 << 20;
const BLOCK: usize = 512;

struct World {
    runtime: Runtime,
    folder: tempfile::TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| World {
    runtime: Builder::new_current_thread().enable_all().build().unwrap(),
    folder: tempfile::tempdir().unwrap(),
});

fuzz_target!(|data: &[u8]| {
    let Some((&switch, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if switch & 1 == 0 {
        mend_checksums(&mut bytes);
    }
    let path = WORLD.folder.path().join("images");
    fs::write(&path, bytes).unwrap();
    WORLD.runtime.block_on(read(path, if switch & 2 == 0 { Form::Images } else { Form::Detect }));
});

/// Gives every header its right checksum, which chance would hardly find.
fn mend_checksums(bytes: &mut [u8]) {
    for header in bytes.chunks_exact_mut(BLOCK).filter(|block| &block[257..262] == b"ustar") {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

async fn read(path: PathBuf, form: Form) {
    let mut options = Options::new(Spool::new(WORLD.folder.path(), SPOOL));
    options.form = form;
    options.compression = Compression::Gzip(Level::new(1).unwrap());
    options.workers = Workers::new(1);
    options.threads = NonZeroUsize::MIN;
    let spool = options.spool.clone();
    if let Ok(archive) = archive::open(path, options).await {
        for entry in &archive.entries {
            check(&entry.artifact).await;
        }
    }
    assert_eq!(spool.used(), 0, "the spool is not given back");
}

async fn check(artifact: &Artifact) {
    match artifact {
        Artifact::Image(image) => check_image(image.as_ref()).await,
        Artifact::Index(index) => {
            let manifest = index.manifest();
            assert_eq!(Digest::sha256_of(manifest.bytes()), *manifest.digest());
            for child in index.children() {
                Box::pin(check(child)).await;
            }
        }
    }
}

/// An image names just the parts that it has; what was compressed here is right.
async fn check_image(image: &dyn Image) {
    let Ok(raw) = image.manifest().await else { return };
    let Ok(Manifest::Image(manifest)) = raw.parse() else { panic!("{raw:?} is no image") };
    let named: Vec<_> = std::iter::once(&manifest.config).chain(&manifest.layers).collect();
    for part in image.parts() {
        let Ok(blob) = part.prepare().await else { continue };
        assert!(named.iter().any(|named| named.digest == blob.descriptor().digest));
        // A blob of a layout may be damaged, which is found here.
        let _ = verify(blob.as_ref()).await;
    }
}
