//! Pushes an image or index into the registry behind a surrogate.
//!
//! One `exists` asks for every blob whose digest is known; what is missing goes up in chunks of all blobs at once, each blob
//! confirmed by the registry; manifests are stored last, children before their index, so that no tag is without its blobs.

mod ahead;
mod beside;
mod check;
mod chunk_size;
mod chunks;
mod error;
mod lost;
mod parallelism;
mod resumption;
mod under_way;
mod upload;
mod whole;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use reposure_oci::{
    Artifact, Blob, Descriptor, Digest, ImageName, Layer, RawManifest, Reference, RepositoryName, registry,
    transfer,
};
use reposure_parcel::{limits, upload::How};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    progress::{Event, Progress},
    retry::{Backoff, FIRST_PATIENCE, PATIENCE},
    session::{FAR, Session, SessionError},
};

pub use ahead::Ahead;
use beside::Beside;
use chunk_size::ChunkSize;
pub use error::PushError;
use parallelism::Parallelism;

/// How often blobs are brought again to a registry that has lost some of them meanwhile: it was started anew without a volume, or
/// collected what no manifest names yet.
const LOSSES: u32 = 2;
/// The places at the surrogate that a push may take: for 6 large blobs, or 24 small ones, so that the last layers need not wait for the
/// first, and another push finds room beside it.
const MOST_PLACES: usize = 24;
/// What any blob takes of them at a surrogate that does not count so.
const ANY_BLOB: usize = 4;
/// The layers that are compressed at once: compressing is what keeps a core busy.
const PREPARATIONS: usize = 2;

/// How to push.
#[derive(Clone, Copy, Debug)]
pub struct PushOptions {
    /// The chunks in flight over all blobs, at least 1. By default they follow the link: 1 to 16, and 32 MiB at most.
    pub jobs: Option<usize>,
    /// How long a round trip takes at most on a link where it pays to send chunks without TLS, if the surrogate lets one; see
    /// [`reposure_parcel::ticket`].
    pub near: Duration,
    /// How long a link, API server, surrogate or registry that is away is waited for since the push last got further: 120 s by default;
    /// 30 s at most as long as the registry has not answered.
    pub patience: Duration,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { jobs: None, near: FAR, patience: PATIENCE }
    }
}

/// What the tasks of one push share.
#[derive(Debug)]
struct Context {
    session: Arc<Session>,
    repository: RepositoryName,
    progress: Progress,
    chunks: Parallelism,
    chunk_size: ChunkSize,
    near: Duration,
    patience: Duration,
    /// Places at the surrogate.
    places: Semaphore,
    preparations: Semaphore,
    /// Whether the registry has answered.
    reached: AtomicBool,
    /// How many bytes are known to be missing at the registry.
    left: AtomicU64,
}

impl Context {
    /// Tells how long to wait for what is away.
    fn patience(&self) -> Duration {
        let is_reached = self.reached.load(Ordering::Relaxed);
        if is_reached { self.patience } else { self.patience.min(FIRST_PATIENCE) }
    }

    /// Says that a blob does not come into the registry, and how much room it and those behind it would take.
    fn refused(&self, blob: &Arc<dyn Blob>, source: SessionError) -> PushError {
        let Descriptor { digest, size, .. } = blob.descriptor();
        let left = self.left.load(Ordering::Relaxed).max(*size);
        PushError::Upload { digest: digest.clone(), size: *size, left, source }
    }

    /// Returns how many places a blob takes.
    fn weight(&self, blob: &Arc<dyn Blob>) -> u32 {
        let is_counted = self.session.hello().limits.places > 0;
        let places = if is_counted { limits::places(Some(blob.descriptor().size)) } else { ANY_BLOB };
        u32::try_from(places).unwrap_or(u32::MAX)
    }
}

/// Returns how many places a push may take: at least enough for any blob.
fn places(session: &Session) -> usize {
    let limits = session.hello().limits;
    let there = if limits.places > 0 { limits.places } else { limits.open_uploads.saturating_mul(ANY_BLOB) };
    there.clamp(ANY_BLOB, MOST_PLACES)
}

/// Pushes `artifact` under `name`, and returns the digest of its manifest once the registry has confirmed it.
///
/// # Errors
/// When a source cannot be read or does not hold what it says, and when surrogate or registry refuse, or stay away for 30 s from
/// the start or for [`PushOptions::patience`], 2 minutes, later. There is then no new tag, unless the way was lost when all bytes had arrived, and
/// then it is whole; blobs that arrived stay, and are not sent again by the next push.
///
/// # Cancel safety
/// Dropping the future stops the push; there is then no new tag, unless all of it had arrived already.
pub async fn push(
    session: Arc<Session>,
    artifact: &Artifact,
    name: &ImageName,
    options: PushOptions,
    progress: Progress,
) -> Result<Digest, PushError> {
    let chunk_size = ChunkSize::new(session.hello().limits.chunk);
    let context = Arc::new(Context {
        repository: name.repository.clone(),
        progress,
        chunks: Parallelism::new(
            options.jobs,
            session.most_at_once(),
            session.round_trip(),
            chunk_size.clone(),
        ),
        chunk_size,
        near: options.near,
        patience: options.patience,
        places: Semaphore::new(places(&session)),
        preparations: Semaphore::new(PREPARATIONS),
        reached: AtomicBool::new(false),
        left: AtomicU64::new(0),
        session,
    });
    let nodes = transfer::walk(artifact);
    let mut losses = 0;
    loop {
        if let Some(digest) = store_parts(&context, &nodes, &name.reference).await? {
            return Ok(digest);
        }
        match put_manifests(&context, &nodes, &name.reference).await {
            Err(error) if losses < LOSSES && error.is_loss() => {
                losses += 1;
                context.progress.send(Event::Retrying { problem: "the registry has lost blobs".into() });
            }
            done => return done,
        }
    }
}

/// Brings every part into the registry; returns the root's digest if that is there then, too.
async fn store_parts(
    context: &Arc<Context>,
    nodes: &[Artifact],
    name: &Reference,
) -> Result<Option<Digest>, PushError> {
    let parts = transfer::parts(nodes);
    let at_once = ahead::first(&parts).count();
    // Asked once: a part may become ready at any time, and then it is not among the ones that were asked for.
    let parts: Vec<_> = parts.into_iter().map(|part| (part.ready(), part)).collect();
    let known = parts.iter().filter_map(|(blob, _)| blob.as_ref());
    let known: Vec<Digest> = known.map(|blob| blob.descriptor().digest.clone()).collect();
    let missing = missing(context, known, at_once).await?;
    let blobs = parts.iter().filter_map(|(blob, _)| Some(blob.as_ref()?.descriptor()));
    let left: Vec<_> = blobs.filter(|blob| missing.contains(&blob.digest)).cloned().collect();
    let bytes = left.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
    context.left.store(bytes, Ordering::Relaxed);
    let are_ready = parts.iter().all(|(blob, _)| blob.is_some());
    let mut tasks = JoinSet::new();
    for (number, (blob, part)) in parts.into_iter().enumerate() {
        context.progress.send(Event::Began {
            part: number,
            label: part.label(),
            size: blob.as_ref().map(|blob| blob.descriptor().size),
        });
        match blob {
            Some(blob) if !missing.contains(&blob.descriptor().digest) => {
                context.progress.send(Event::Finished { part: number, how: How::Existed });
            }
            Some(blob) => drop(tasks.spawn(store(context.clone(), number, blob))),
            None => drop(tasks.spawn(prepare_and_store(context.clone(), number, part))),
        }
    }
    let manifest = if are_ready { Beside::send(context, nodes, name, &left) } else { None };
    // The first failure drops the set, and with it every other task.
    while let Some(joined) = tasks.join_next().await {
        joined.map_err(PushError::Task)??;
    }
    match manifest {
        Some(manifest) => Ok(manifest.confirmed().await),
        None => Ok(None),
    }
}

async fn store(context: Arc<Context>, part: usize, blob: Arc<dyn Blob>) -> Result<(), PushError> {
    let how = {
        let _permit = context.places.acquire_many(context.weight(&blob)).await;
        upload::upload(&context, part, &blob).await?
    };
    context.left.fetch_sub(blob.descriptor().size, Ordering::Relaxed);
    context.progress.send(Event::Finished { part, how });
    Ok(())
}

async fn prepare_and_store(
    context: Arc<Context>,
    number: usize,
    part: Arc<dyn Layer>,
) -> Result<(), PushError> {
    if let Some(size) = recall(&context, part.as_ref()).await? {
        context.progress.send(Event::Sized { part: number, size });
        context.progress.send(Event::Finished { part: number, how: How::Existed });
        return Ok(());
    }
    let blob = {
        let _permit = context.preparations.acquire().await;
        part.prepare().await.map_err(|source| PushError::Source { part: part.label(), source })?
    };
    let descriptor = blob.descriptor();
    context.progress.send(Event::Sized { part: number, size: descriptor.size });
    if missing(&context, vec![descriptor.digest.clone()], 1).await?.is_empty() {
        context.progress.send(Event::Finished { part: number, how: How::Existed });
        return Ok(());
    }
    context.left.fetch_add(descriptor.size, Ordering::Relaxed);
    store(context, number, blob).await
}

/// Settles a part whose blob is remembered from an earlier push, if the registry confirms it; returns its size in bytes then.
async fn recall(context: &Context, part: &dyn Layer) -> Result<Option<u64>, PushError> {
    let remembered = {
        let _permit = context.preparations.acquire().await;
        part.remembered().await.map_err(|source| PushError::Source { part: part.label(), source })?
    };
    let Some(descriptor) = remembered else { return Ok(None) };
    // It may be away for as long again when the blob is there.
    let limits = registry::Limits { patience: FIRST_PATIENCE, ..registry::Limits::default() };
    let client = registry::Client::with_limits(context.session.clone(), limits);
    match client.has_blob(&context.repository, &descriptor).await {
        Ok(true) => {
            let size = descriptor.size;
            context.reached.store(true, Ordering::Relaxed);
            part.settle(descriptor);
            Ok(Some(size))
        }
        // What cannot be asked now is asked again once the blob is there, and patiently.
        Ok(false) | Err(_) => Ok(None),
    }
}

/// Asks which of `digests` the repository lacks, in as few round trips as the surrogate allows; so many of them are sent at once.
async fn missing(
    context: &Context,
    digests: Vec<Digest>,
    at_once: usize,
) -> Result<HashSet<Digest>, PushError> {
    let limit = context.session.hello().limits.exists_digests.clamp(1, limits::EXISTS_DIGESTS);
    let mut missing = HashSet::new();
    for digests in digests.chunks(limit) {
        let question = ahead::question(&context.repository, digests.to_vec(), at_once);
        let asked = upload::patiently(context, || context.session.exists(&question)).await;
        let answer = asked.map_err(PushError::Exists)?;
        context.reached.store(true, Ordering::Relaxed);
        missing.extend(answer.missing);
    }
    Ok(missing)
}

/// Puts the manifests, children first; the last one is the root, which gets the name and whose digest is returned.
async fn put_manifests(context: &Context, nodes: &[Artifact], name: &Reference) -> Result<Digest, PushError> {
    // What is tried again is so here, and no longer than patience lasts.
    let limits = registry::Limits { attempts: 1, ..registry::Limits::default() };
    let client = registry::Client::with_limits(context.session.clone(), limits);
    let (root, children) = nodes.split_last().expect("a walk ends with the root");
    for child in children {
        let manifest = manifest_of(child).await?;
        put_manifest(context, &client, &reference_of(&manifest, None)?, &manifest).await?;
    }
    let manifest = manifest_of(root).await?;
    put_manifest(context, &client, &reference_of(&manifest, Some(name))?, &manifest).await
}

async fn manifest_of(node: &Artifact) -> Result<RawManifest, PushError> {
    node.manifest().await.map_err(|source| PushError::Source { part: "manifest".into(), source })
}

/// Puts one manifest, again and again while the way to the registry is broken.
async fn put_manifest(
    context: &Context,
    client: &registry::Client<Arc<Session>>,
    reference: &Reference,
    manifest: &RawManifest,
) -> Result<Digest, PushError> {
    let mut backoff = Backoff::new(context.patience);
    let refused = |source| PushError::Manifest { digest: manifest.digest().clone(), source };
    loop {
        match client.put_manifest(&context.repository, reference, manifest).await {
            Err(error) if error.is_transient() => {
                backoff.heed(error.retry_after());
                if !backoff.pause().await {
                    return Err(refused(error));
                }
                context.progress.send(Event::Retrying { problem: error.to_string() });
            }
            done => return done.map_err(refused),
        }
    }
}

/// A child goes by its digest; the root goes by its name, which must fit if it is a digest.
fn reference_of(manifest: &RawManifest, name: Option<&Reference>) -> Result<Reference, PushError> {
    match name {
        None => Ok(Reference::Digest(manifest.digest().clone())),
        Some(Reference::Digest(wanted)) if wanted != manifest.digest() => {
            Err(PushError::OtherDigest { wanted: wanted.clone(), found: manifest.digest().clone() })
        }
        Some(name) => Ok(name.clone()),
    }
}
