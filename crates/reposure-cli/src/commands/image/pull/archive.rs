//! Archives, to a file or to standard output.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use reposure_client::pull::{Place, fetch_blobs, fetch_into};
use reposure_oci::{
    Descriptor,
    sink::{ArchiveForm, ArchiveWriter, AtomicFile, Durability, Plan, PlannedBlob},
};

use super::{
    Pull, Saved,
    resume::{broken_off, or_anew},
    shown,
    sink::ArchiveSink,
    stdout,
};

/// Writes an archive to a file, each blob where it belongs.
pub(super) async fn write(pull: &Pull, saved: Saved, form: ArchiveForm, path: &Path) -> Result<()> {
    let plan = Arc::new(Plan::of(form, &saved.images, &saved.below)?);
    or_anew(async || fetch(pull, &plan, path).await).await
}

async fn fetch(pull: &Pull, plan: &Arc<Plan>, path: &Path) -> Result<()> {
    let target = AtomicFile::resume(path, &plan.digest(), plan.size())?;
    let (out, record) = (target.file().try_clone().context("cannot write the file")?, target.record());
    let out = Arc::new(out);
    let place = |blob: &PlannedBlob| Place {
        blob: blob.descriptor.clone(),
        file: out.clone(),
        start: blob.start,
        durable: pull.durability == Durability::Machine,
        record: record.clone(),
    };
    let places = plan.blobs().iter().map(place).collect();
    let (file, fixed) = (out.clone(), plan.clone());
    let written = tokio::task::spawn_blocking(move || fixed.write_fixed(&file)).await;
    written.context("cannot write the file")?.context("cannot write the file")?;
    let (session, name) = (&pull.session, &pull.name);
    match shown(async |progress| fetch_into(session, name, places, pull.options, progress).await).await {
        Ok(()) => Ok(target.commit(pull.durability).await?),
        Err(error) => Err(broken_off(error, || target.leave().is_some())),
    }
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
