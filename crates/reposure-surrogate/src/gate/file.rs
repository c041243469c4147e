//! Mounted files, which change while the gate runs.

use std::{io, path::Path};

use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

/// The largest file, in bytes: what a Secret can hold.
const LIMIT: u64 = 1 << 20;

/// What stands for the content of files, to see whether they have changed.
pub(super) type Mark = [u8; 32];

/// Reads a file.
pub(super) async fn read(path: &Path) -> io::Result<SecretSlice<u8>> {
    let file = tokio::fs::File::open(path).await?;
    let mut bytes = Vec::new();
    let length = file.take(LIMIT + 1).read_to_end(&mut bytes).await?;
    let bytes = SecretSlice::from(bytes);
    if length as u64 > LIMIT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Reads a file that may be missing, and is as good as empty then.
pub(super) async fn read_if_there(path: &Path) -> io::Result<SecretSlice<u8>> {
    match read(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(SecretSlice::from(Vec::new())),
        done => done,
    }
}

/// Returns what stands for files.
pub(super) fn mark(files: &[&SecretSlice<u8>]) -> Mark {
    let mut hash = Sha256::new();
    for file in files {
        hash.update((file.expose_secret().len() as u64).to_be_bytes());
        hash.update(file.expose_secret());
    }
    hash.finalize().into()
}
