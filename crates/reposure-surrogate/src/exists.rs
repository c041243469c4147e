//! Which blobs are missing.

use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use reposure_oci::Digest;
use reposure_parcel::{
    exists::{Exists, Missing},
    limits::EXISTS_DIGESTS,
    problem::{Code, Problem},
};

use crate::{
    answer::{self, Answer},
    uploads::Uploads,
    upstream::{Client, refusal},
};

/// How many blobs the registry is asked for at once.
const PARALLEL: usize = 16;

/// Asks the registry for the blobs; for one who may push them, and is about to, it is made ready for those that are missing.
pub(crate) async fn exists(
    registry: &Client,
    uploads: &Uploads,
    wish: Exists,
    may_push: bool,
) -> Result<Answer, Problem> {
    check_count(&wish.digests)?;
    let repository = &wish.repository;
    let missing: Vec<Option<Digest>> = stream::iter(wish.digests)
        .map(|digest| async move {
            let found = registry.head_blob(repository, &digest).await.map_err(|error| refusal::of(&error))?;
            uploads.note(&digest, repository, found.is_some());
            Ok::<_, Problem>(found.is_none().then_some(digest))
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let missing: Vec<Digest> = missing.into_iter().flatten().collect();
    if may_push {
        uploads.prepare(repository, &missing, wish.uploads);
    }
    Ok(answer::json(StatusCode::OK, &Missing { missing }))
}

/// Refuses more digests than a request may name.
pub(crate) fn check_count(digests: &[Digest]) -> Result<(), Problem> {
    if digests.len() <= EXISTS_DIGESTS {
        return Ok(());
    }
    let message = format!("{} digests are over the limit of {EXISTS_DIGESTS}", digests.len());
    Err(Problem::new(Code::TooLarge, message))
}
