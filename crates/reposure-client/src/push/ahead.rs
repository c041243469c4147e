//! What a push needs to know, asked before there is a session: over a long way each round trip counts.

use std::sync::Arc;

use reposure_oci::{Artifact, Digest, ImageName, Layer, RepositoryName, transfer};
use reposure_parcel::{exists::Exists, limits};

use super::PushOptions;

/// The requests at once that a push has connections made for over a long way: as many as it has chunks in flight there.
const REQUESTS: usize = 16;

/// What is known of a push before it begins.
#[derive(Clone, Debug)]
pub struct Ahead {
    pub(crate) question: Exists,
    requests: usize,
}

impl Ahead {
    /// Looks at what is to be pushed, and how; nothing is asked or read.
    pub fn of(artifact: &Artifact, name: &ImageName, options: PushOptions) -> Self {
        let parts = transfer::parts(&transfer::walk(artifact));
        let digests = known(&parts).into_iter().take(limits::EXISTS_DIGESTS).collect();
        Self {
            question: question(&name.repository, digests),
            requests: requests(&parts).min(options.jobs.unwrap_or(REQUESTS)),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_question(question: Exists) -> Self {
        Self { question, requests: 0 }
    }

    /// Returns how many requests may be under way at once if the registry has nothing of it: 16 at most.
    pub const fn requests(&self) -> usize {
        self.requests
    }
}

/// Asks which of some blobs the repository lacks.
pub(super) fn question(repository: &RepositoryName, digests: Vec<Digest>) -> Exists {
    Exists { repository: repository.clone(), digests }
}

/// Returns the digests of the parts that are ready.
fn known(parts: &[Arc<dyn Layer>]) -> Vec<Digest> {
    parts.iter().filter_map(|part| part.ready()).map(|blob| blob.descriptor().digest.clone()).collect()
}

fn requests(parts: &[Arc<dyn Layer>]) -> usize {
    // Of one that is not ready it is not known how large it will be.
    let of_part = |part: &Arc<dyn Layer>| {
        part.ready().map_or(REQUESTS as u64, |blob| blob.descriptor().size.div_ceil(limits::CHUNK / 2).max(1))
    };
    let all = parts.iter().map(of_part).fold(0, u64::saturating_add);
    usize::try_from(all).unwrap_or(REQUESTS).min(REQUESTS)
}
