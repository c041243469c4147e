//! Archives, to a file or to standard output.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use reposure_client::pull::{Place, fetch_blobs, fetch_into};
use reposure_oci::{
    Descriptor,
    sink::{ArchiveForm, ArchiveWriter, AtomicFile, Durability, Plan, PlannedBlob},
};

use super::{Pull, Saved, shown, sink::ArchiveSink, stdout};

/// Writes an archive to a file, each blob where it belongs.
pub(super) async fn write(pull: &Pull, saved: Saved, form: ArchiveForm, path: &Path) -> Result<()> {
    let plan = Plan::of(form, &saved.images, &saved.below)?;
    let target = AtomicFile::create(path)?;
    let out = Arc::new(target.file().try_clone().context("cannot write the file")?);
    let place = |blob: &PlannedBlob| Place {
        blob: blob.descriptor.clone(),
        file: out.clone(),
        start: blob.start,
        durable: pull.durability == Durability::Machine,
    };
    let places = plan.blobs().iter().map(place).collect();
    let file = out.clone();
    let written = tokio::task::spawn_blocking(move || plan.write_fixed(&file)).await;
    written.context("cannot write the file")?.context("cannot write the file")?;
    let (session, name) = (&pull.session, &pull.name);
    shown(async |progress| fetch_into(session, name, places, pull.options, progress).await).await?;
    Ok(target.commit(pull.durability).await?)
}

/// Writes an archive to standard output, in order.
pub(super) async fn pipe(pull: &Pull, saved: Saved, form: ArchiveForm) -> Result<()> {
    let plan = Plan::of(form, &saved.images, &saved.below)?;
    let blobs: Vec<Descriptor> = plan.blobs().iter().map(|blob| blob.descriptor.clone()).collect();
    let out = tokio::fs::File::from_std(stdout()?);
    let mut sink = ArchiveSink::new(ArchiveWriter::new(out, plan).await?, blobs.clone());
    let (session, name) = (&pull.session, &pull.name);
    shown(async |progress| fetch_blobs(session, name, &blobs, pull.options, progress, &mut sink).await)
        .await?;
    Ok(sink.finish().await.map(drop)?)
}
