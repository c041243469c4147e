//! Docker or podman on this machine: the archive is streamed into its socket.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use futures::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use reposure_client::pull::fetch_blobs;
use reposure_oci::{
    Body, Descriptor,
    daemon::Daemon,
    sink::{ArchiveForm, ArchiveWriter, Plan},
};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio_util::io::ReaderStream;

use super::{Pull, Saved, shown, sink::ArchiveSink};

/// How much of the archive may wait for the daemon, in bytes.
const WAITING: usize = 1 << 20;

/// Loads the image, and returns the names that the daemon says it has now.
pub(super) async fn load(pull: &Pull, saved: Saved, daemon: &Daemon) -> Result<Vec<String>> {
    let plan = Plan::of(ArchiveForm::Docker, &saved.images, &saved.below)?;
    // A daemon that is away is no reason to fetch anything.
    daemon.ping().await?;
    let (out, input) = tokio::io::duplex(WAITING);
    let complete = Arc::new(AtomicBool::new(false));
    let loading = async { Ok(daemon.load(body(input, complete.clone())).await?) };
    let (written, loaded) = tokio::join!(write(pull, plan, out, &complete), loading);
    match (written, loaded) {
        (_, Ok(names)) => Ok(names),
        // The daemon's own words say more than that it has hung up.
        (Err(error), Err(_)) if !is_broken_pipe(&error) => Err(error),
        (_, Err(error)) => Err(error),
    }
}

/// Writes the archive, each blob of which is verified.
async fn write(pull: &Pull, plan: Plan, out: DuplexStream, complete: &AtomicBool) -> Result<()> {
    let blobs: Vec<Descriptor> = plan.blobs().iter().map(|blob| blob.descriptor.clone()).collect();
    let mut sink = ArchiveSink::new(ArchiveWriter::new(out, plan).await?, blobs.clone());
    let (session, name) = (&pull.session, &pull.name);
    shown(async |progress| fetch_blobs(session, name, &blobs, pull.options, progress, &mut sink).await)
        .await?;
    let mut out = sink.finish().await?;
    complete.store(true, Ordering::Release);
    Ok(out.shutdown().await?)
}

/// Makes a request's body of what is read from `input`: one that is broken off unless the archive is complete, so that the daemon
/// does not take a part for the whole.
fn body(input: DuplexStream, complete: Arc<AtomicBool>) -> Body {
    let end = stream::once(async move { complete.load(Ordering::Acquire) }).filter_map(async |complete| {
        (!complete).then(|| Err(std::io::Error::other("the archive is incomplete")))
    });
    let frames = ReaderStream::with_capacity(input, WAITING / 4).chain(Box::pin(end));
    StreamBody::new(frames.map(|piece| piece.map(Frame::data).map_err(Into::into))).boxed_unsync()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
