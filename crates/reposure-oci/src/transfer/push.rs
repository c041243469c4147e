//! Images into a registry.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    error::PushError,
    nodes::{of_two_sizes, parts, walk},
    progress::{Event, How, Progress},
    upload,
};
use crate::{
    blob::PIECES,
    digest::Digest,
    image::{Artifact, Layer},
    manifest::RawManifest,
    name::{ImageName, Reference, RepositoryName},
    registry::{Client, Proof, UploadStrategy},
    transport::Transport,
};

/// How to push.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// How many blobs are under way at once, at least 1; 4 by default.
    pub blobs: usize,
    /// How many pieces of a blob are read at once, at least 1; 2 by default. Each takes 8 MiB of memory if it is a registry's, 1 MiB
    /// if it is a file's.
    pub pieces: usize,
    /// How many layers are prepared at once, at least 1; 2 by default, since compressing keeps several cores busy.
    pub preparations: usize,
    /// Another repository of the same registry, which blobs are mounted from where that is possible.
    pub mount_from: Option<RepositoryName>,
    /// In which form blobs are sent first; by default as the registry is known to take them by its host, else by one request each.
    /// By default, too, what a cut has left of a large blob goes in chunks where the registry tells how much of it came. One that is
    /// too large for a request goes in chunks anyway.
    pub strategy: Option<UploadStrategy>,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { blobs: 4, pieces: PIECES, preparations: 2, mount_from: None, strategy: None }
    }
}

/// What the tasks of one push share.
#[derive(Debug)]
pub(super) struct Context<T> {
    pub(super) client: Client<T>,
    pub(super) repository: RepositoryName,
    pub(super) options: PushOptions,
    pub(super) progress: Progress,
    pub(super) proof: Proof,
    blobs: Semaphore,
    preparations: Semaphore,
}

/// Pushes `artifact` under `name`, and returns the digest of its manifest once the registry has confirmed it.
///
/// What the registry has is not sent, and not compressed either where the source remembers what it became. Blobs go first, several at once, each as [`Client::store_blob`] sends it; then the manifests,
/// children before their index. What fails on the way is tried again as the client's limits say.
///
/// Each blob is checked against its digest on its way: here, or, when it is large, by the registry alone, once that has
/// refused a few bytes under the digest of others. What it refuses then is looked at here too, so that an error names the damaged
/// source.
///
/// # Errors
/// When a source cannot be read or does not hold what it says, and when the registry refuses. There is then no new tag; blobs
/// that arrived stay, and are not sent again by the next push.
///
/// # Cancel safety
/// Dropping the future stops the push; there is then no new tag, unless the registry was answering already.
pub async fn push<T: Transport + Clone + 'static>(
    client: &Client<T>,
    artifact: &Artifact,
    name: &ImageName,
    options: &PushOptions,
    progress: Progress,
) -> Result<Digest, PushError> {
    let context = Arc::new(Context {
        client: client.clone(),
        repository: name.repository.clone(),
        options: options.clone(),
        progress,
        proof: Proof::default(),
        blobs: Semaphore::new(options.blobs.clamp(1, Semaphore::MAX_PERMITS)),
        preparations: Semaphore::new(options.preparations.clamp(1, Semaphore::MAX_PERMITS)),
    });
    let nodes = walk(artifact);
    if let Some(digest) = of_two_sizes(&nodes) {
        return Err(PushError::TwoSizes(digest));
    }
    let mut tasks = JoinSet::new();
    for (number, part) in parts(&nodes).into_iter().enumerate() {
        tasks.spawn(store(context.clone(), number, part));
    }
    // The first failure drops the set, and with it every other task.
    while let Some(joined) = tasks.join_next().await {
        joined.map_err(PushError::Task)??;
    }
    put_manifests(&context, &nodes, &name.reference).await
}

async fn store<T: Transport>(
    context: Arc<Context<T>>,
    number: usize,
    part: Arc<dyn Layer>,
) -> Result<(), PushError> {
    let ready = part.ready();
    let size = ready.as_ref().map(|blob| blob.descriptor().size);
    context.progress.send(Event::Began { part: number, label: part.label(), size });
    let blob = if let Some(blob) = ready {
        blob
    } else if let Some(size) = recall(&context, part.as_ref()).await? {
        context.progress.send(Event::Sized { part: number, size });
        context.progress.send(Event::Finished { part: number, how: How::Existed });
        return Ok(());
    } else {
        let _permit = context.preparations.acquire().await;
        let blob = part.prepare().await.map_err(|source| PushError::Source { part: part.label(), source })?;
        context.progress.send(Event::Sized { part: number, size: blob.descriptor().size });
        blob
    };
    let _permit = context.blobs.acquire().await;
    let how = upload::store(&context, number, &blob).await?;
    context.progress.send(Event::Finished { part: number, how });
    Ok(())
}

/// Settles a part whose blob is remembered from an earlier push, if the registry confirms it; returns its size in bytes then.
async fn recall<T: Transport>(context: &Context<T>, part: &dyn Layer) -> Result<Option<u64>, PushError> {
    let remembered = {
        let _permit = context.preparations.acquire().await;
        part.remembered().await.map_err(|source| PushError::Source { part: part.label(), source })?
    };
    let Some(blob) = remembered else { return Ok(None) };
    match context.client.has_blob(&context.repository, &blob).await {
        Ok(true) => {
            let size = blob.size;
            part.settle(blob);
            Ok(Some(size))
        }
        // What cannot be asked now, or is there in another size, is asked for again once the blob is made.
        Ok(false) | Err(_) => Ok(None),
    }
}

/// Puts the manifests, children first; the last one is the root, which gets the name and whose digest is returned.
async fn put_manifests<T: Transport>(
    context: &Context<T>,
    nodes: &[Artifact],
    name: &Reference,
) -> Result<Digest, PushError> {
    let (root, children) = nodes.split_last().expect("a walk ends with the root");
    let root = manifest_of(root).await?;
    let reference = root_reference(&root, name)?;
    for child in children {
        let manifest = manifest_of(child).await?;
        put(context, &Reference::Digest(manifest.digest().clone()), &manifest).await?;
    }
    put(context, &reference, &root).await
}

async fn manifest_of(node: &Artifact) -> Result<RawManifest, PushError> {
    node.manifest().await.map_err(|source| PushError::Source { part: "manifest".into(), source })
}

/// The root goes by its name, which must fit if it is a digest.
fn root_reference(root: &RawManifest, name: &Reference) -> Result<Reference, PushError> {
    match name {
        Reference::Digest(wanted) if wanted != root.digest() => {
            Err(PushError::OtherDigest { wanted: wanted.clone(), found: root.digest().clone() })
        }
        name => Ok(name.clone()),
    }
}

async fn put<T: Transport>(
    context: &Context<T>,
    reference: &Reference,
    manifest: &RawManifest,
) -> Result<Digest, PushError> {
    let stored = context.client.put_manifest(&context.repository, reference, manifest).await;
    stored.map_err(|source| PushError::Manifest { digest: manifest.digest().clone(), source })
}
