//! An OCI layout in a folder.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use reposure_client::pull::{Place, fetch_each};
use reposure_oci::{
    Descriptor,
    sink::{Durability, LayoutAddition, LayoutFolder, NewBlob},
};
use tokio::sync::mpsc;

use super::{
    Pull, Saved,
    resume::{broken_off, or_anew},
    shown,
};

/// How many blobs are fetched at once: each is an open file or two, of which a process may have 1024 at the least.
const FILES: usize = 128;

/// Adds the image to the layout at `path`. What the layout has already is not fetched.
pub(super) async fn add(pull: &Pull, saved: Saved, path: &Path) -> Result<()> {
    let addition = LayoutAddition::new(&saved.images, &saved.below)?;
    let folder = LayoutFolder::open(path, pull.durability).await?;
    or_anew(async || {
        let missing = folder.missing(addition.blobs().to_vec()).await?;
        for blobs in missing.chunks(FILES) {
            fetch(pull, &folder, blobs).await?;
        }
        Ok(())
    })
    .await?;
    Ok(folder.add(addition).await?)
}

/// Fetches blobs, each of which stays once it is whole, even if a later one cannot be had.
async fn fetch(pull: &Pull, folder: &LayoutFolder, blobs: &[Descriptor]) -> Result<()> {
    let (mut places, mut files) = (Vec::new(), Vec::new());
    for blob in blobs {
        let file = folder.create(blob)?;
        let out = Arc::new(file.file().try_clone().context("cannot write the file")?);
        let (durable, record) = (pull.durability == Durability::Machine, file.record());
        places.push(Place { blob: blob.clone(), file: out, start: 0, durable, record });
        files.push(Some(file));
    }
    let (finished, whole) = mpsc::unbounded_channel();
    let fetching = shown(async |progress| {
        let (session, name) = (&pull.session, &pull.name);
        fetch_each(session, name, places, pull.options, progress, finished).await
    });
    // What is whole is kept also where another blob cannot be had.
    let (fetched, kept) = tokio::join!(fetching, keep(&mut files, whole, pull.durability));
    fetched.map_err(|error| broken_off(error, || leave(files)))?;
    kept
}

/// Leaves the others to the next pull, and tells whether there is anything of them.
fn leave(files: Vec<Option<NewBlob>>) -> bool {
    files.into_iter().flatten().map(NewBlob::leave).filter(|is_left| *is_left).count() > 0
}

/// Gives the blobs their names as they become whole.
async fn keep(
    files: &mut [Option<NewBlob>],
    mut whole: mpsc::UnboundedReceiver<usize>,
    durability: Durability,
) -> Result<()> {
    while let Some(number) = whole.recv().await {
        if let Some(file) = files.get_mut(number).and_then(Option::take) {
            let kept = tokio::task::spawn_blocking(move || file.keep(durability)).await;
            kept.context("cannot write the file")??;
        }
    }
    Ok(())
}
