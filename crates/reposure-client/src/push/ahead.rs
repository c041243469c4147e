//! What a push needs to know, asked before there is a session: over a long way each round trip counts.

use std::sync::Arc;

use reposure_oci::{Artifact, Blob, Descriptor, Digest, ImageName, Layer, RepositoryName, transfer};
use reposure_parcel::{exists::Exists, limits, upload::Open, whole};

use super::{MOST_PLACES, PushOptions};

/// The chunks in flight for which a push has connections made over a long way.
const CHUNKS: usize = 16;

/// What is known of a push before it begins.
#[derive(Clone, Debug)]
pub struct Ahead {
    pub(crate) question: Exists,
    requests: usize,
    /// The uploads with which it begins if the registry has nothing of it.
    uploads: Vec<Open>,
    is_far: bool,
}

impl Ahead {
    /// Looks at what is to be pushed, and how; nothing is asked or read.
    pub fn of(artifact: &Artifact, name: &ImageName, options: PushOptions) -> Self {
        let parts = transfer::parts(&transfer::walk(artifact));
        let digests = known(&parts).into_iter().take(limits::EXISTS_DIGESTS).collect();
        let uploads = uploads(&name.repository, &parts);
        let requests = requests(&parts).min(options.jobs.unwrap_or(usize::MAX));
        // The manifest of a small image goes beside its blobs.
        let may_wait = uploads.is_empty() && matches!(artifact, Artifact::Image(_));
        Self {
            question: question(&name.repository, digests, first(&parts).count()),
            requests: requests.saturating_add(usize::from(may_wait)),
            uploads,
            is_far: false,
        }
    }

    /// Says that the way is a long one, so that large blobs are not waited for to be missing: their uploads are opened at once, which
    /// comes to nothing where the registry has them.
    #[must_use]
    pub fn over_a_long_way(self) -> Self {
        Self { is_far: true, ..self }
    }

    #[cfg(test)]
    pub(crate) fn of_question(question: Exists) -> Self {
        Self { question, requests: 0, uploads: Vec::new(), is_far: false }
    }

    /// Returns how many requests may be under way at once if the registry has nothing of it: 29 at most.
    pub const fn requests(&self) -> usize {
        self.requests
    }

    /// Returns the uploads to open before it is known that their blobs are missing.
    pub(crate) fn uploads(&self) -> &[Open] {
        if self.is_far { &self.uploads } else { &[] }
    }
}

/// Asks which of some blobs the repository lacks, of which so many are to be sent at once.
pub(super) fn question(repository: &RepositoryName, digests: Vec<Digest>, uploads: usize) -> Exists {
    Exists { repository: repository.clone(), digests, uploads }
}

/// Returns the digests of the parts that are ready.
fn known(parts: &[Arc<dyn Layer>]) -> Vec<Digest> {
    parts.iter().filter_map(|part| part.ready()).map(|blob| blob.descriptor().digest.clone()).collect()
}

/// Wishes for the upload of a blob.
pub(super) fn upload(repository: &RepositoryName, blob: &Descriptor) -> Open {
    Open {
        repository: repository.clone(),
        digest: Some(blob.digest.clone()),
        size: Some(blob.size),
        key: None,
        from: Vec::new(),
        resume: None,
    }
}

/// Returns the first parts that are ready, as many as get places at once.
pub(super) fn first(parts: &[Arc<dyn Layer>]) -> impl Iterator<Item = Arc<dyn Blob>> {
    let mut places = MOST_PLACES;
    parts.iter().map_while(move |part| {
        let blob = part.ready()?;
        places = places.checked_sub(limits::places(Some(blob.descriptor().size)))?;
        Some(blob)
    })
}

/// Returns the uploads of those among them that do not go in one request.
fn uploads(repository: &RepositoryName, parts: &[Arc<dyn Layer>]) -> Vec<Open> {
    let large = first(parts).filter(|blob| blob.descriptor().size > whole::LIMIT);
    large.map(|blob| upload(repository, blob.descriptor())).collect()
}

/// Returns how many requests are under way at once at most. Two small blobs take the place of one chunk.
fn requests(parts: &[Arc<dyn Layer>]) -> usize {
    let (mut chunks, mut small) = (0_u64, 0);
    for part in parts {
        match part.ready().map(|blob| blob.descriptor().size) {
            Some(size) if size <= limits::PLACE => small += 1,
            Some(size) => chunks = chunks.saturating_add(size.div_ceil(limits::CHUNK / 2)),
            // It is not known how large it will be.
            None => chunks = u64::MAX,
        }
    }
    let chunks = usize::try_from(chunks).unwrap_or(usize::MAX).min(CHUNKS);
    chunks + small.min(2 * (CHUNKS - chunks)).min(MOST_PLACES)
}
