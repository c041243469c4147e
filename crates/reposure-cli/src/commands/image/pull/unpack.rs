//! The file in an image's first layer.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use reposure_client::pull::{Place, Tree, fetch_into};
use reposure_oci::sink::{AtomicFile, unpack_layer};

use super::{Pull, shown, stdout};
use crate::{
    commands::image::source::spool_limit,
    exit::{self, Failure, Kind},
};

/// Writes the file to `path`, or to standard output.
pub(super) async fn write(pull: &Pull, tree: &Tree, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return unpack(pull, tree, stdout()?).await };
    let target = AtomicFile::create(path)?;
    unpack(pull, tree, target.file().try_clone().context("cannot write the file")?).await?;
    Ok(target.commit(pull.durability).await?)
}

/// Writes the file once the layer is there whole and verified.
async fn unpack(pull: &Pull, tree: &Tree, mut out: File) -> Result<()> {
    let layer = tree.blobs.get(1).ok_or_else(|| no_layer(tree))?;
    let limit = spool_limit(&std::env::temp_dir());
    if layer.size > limit {
        let message = format!("the layer has {} bytes, and temporary files may have {limit}", layer.size);
        return Err(Failure::new(Kind::Other, message).into());
    }
    let spool = tempfile::tempfile().context("cannot make a temporary file")?;
    let file = Arc::new(spool.try_clone().context("cannot make a temporary file")?);
    let places = vec![Place { blob: layer.clone(), file, start: 0, durable: false }];
    let (session, name) = (&pull.session, &pull.name);
    shown(async |progress| fetch_into(session, name, places, pull.options, progress).await).await?;
    let media_type = layer.media_type.clone();
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
