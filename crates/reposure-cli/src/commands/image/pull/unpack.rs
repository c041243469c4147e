//! The file in an image's first layer.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use reposure_client::pull::{Place, PullError, Tree, fetch_into};
use reposure_oci::{
    Descriptor,
    sink::{AtomicFile, Record, unpack_layer},
};

use super::{
    Pull,
    resume::{broken_off, or_anew},
    shown, stdout,
};
use crate::{
    commands::image::source::spool_limit,
    exit::{self, Failure, Kind},
};

/// Writes the file to `path`, or to standard output.
pub(super) async fn write(pull: &Pull, tree: &Tree, path: Option<&Path>) -> Result<()> {
    let layer = tree.blobs.get(1).ok_or_else(|| no_layer(tree))?;
    match path {
        None => unpack(layer, anonymous(pull, layer).await?, stdout()?).await,
        Some(path) => or_anew(async || beside(pull, layer, path).await).await,
    }
}

/// Writes the file to `path`. The layer goes into a file beside it, so that another pull finds what came of it.
async fn beside(pull: &Pull, layer: &Descriptor, path: &Path) -> Result<()> {
    let spool = AtomicFile::resume(path, &layer.digest, layer.size)?;
    let folder = spool.target().parent().filter(|folder| !folder.as_os_str().is_empty());
    let room = check_room(layer, spool.record().as_deref(), folder.unwrap_or_else(|| Path::new(".")));
    if let Err(error) = room {
        spool.leave();
        return Err(error);
    }
    let file = spool.file().try_clone().context("cannot make a temporary file")?;
    if let Err(error) = fetch(pull, layer, &file, spool.record()).await {
        return Err(broken_off(error, || spool.leave().is_some()));
    }
    // Made only now, since nobody would find it again.
    let target = AtomicFile::create(path)?;
    unpack(layer, file, target.file().try_clone().context("cannot write the file")?).await?;
    Ok(target.commit(pull.durability).await?)
}

/// Fetches the layer into a file that nobody else finds.
async fn anonymous(pull: &Pull, layer: &Descriptor) -> Result<File> {
    check_room(layer, None, &std::env::temp_dir())?;
    let spool = tempfile::tempfile().context("cannot make a temporary file")?;
    fetch(pull, layer, &spool, None).await?;
    Ok(spool)
}

/// Sees to it that there is room for a layer, some of which may be there.
fn check_room(layer: &Descriptor, record: Option<&Record>, folder: &Path) -> Result<()> {
    let found = record.map_or_else(Vec::new, Record::found);
    let found: u64 = found.iter().map(|range| range.end - range.start).sum();
    let limit = spool_limit(folder);
    if layer.size.saturating_sub(found) <= limit {
        return Ok(());
    }
    let message = format!("the layer has {} bytes, and temporary files may have {limit}", layer.size);
    Err(Failure::new(Kind::Other, message).into())
}

/// Fetches the layer, which is verified then.
async fn fetch(
    pull: &Pull,
    layer: &Descriptor,
    file: &File,
    record: Option<Arc<Record>>,
) -> Result<(), PullError> {
    let file = Arc::new(file.try_clone().map_err(PullError::Write)?);
    let places = vec![Place { blob: layer.clone(), file, start: 0, durable: false, record }];
    let (session, name) = (&pull.session, &pull.name);
    shown(async |progress| fetch_into(session, name, places, pull.options, progress).await).await
}

/// Writes the file in a layer that is there whole and verified.
async fn unpack(layer: &Descriptor, spool: File, mut out: File) -> Result<()> {
    // Notes of what came may stand behind it.
    let (media_type, spool) = (layer.media_type.clone(), spool.take(layer.size));
    // On a thread of its own, which an interrupt does not wait for: it blocks on whoever reads the output.
    let unpacked = tokio::task::spawn_blocking(move || unpack_layer(&media_type, spool, &mut out)).await;
    unpacked.context("cannot unpack the layer")?.map(drop).map_err(Into::into)
}

fn no_layer(tree: &Tree) -> Failure {
    if tree.manifest.media_type().is_index() {
        let failure =
            Failure::new(Kind::Usage, "it is an index of images, and a file is unpacked of one image");
        return failure.hint(exit::ONE_PLATFORM);
    }
    Failure::new(Kind::Usage, "the image has no layer to unpack").hint("pull it without --unpack")
}
