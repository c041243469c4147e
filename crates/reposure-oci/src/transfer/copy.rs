//! Images from one registry into another, and what refers to them.

use super::{
    error::PushError,
    progress::Progress,
    push::{PushOptions, push},
};
use crate::{
    archive::Attached, digest::Digest, image::Artifact, name::ImageName, registry::Client, remote,
    transport::Transport,
};

/// Copies the image `from` of one registry to the name `to` of another, or of the same.
///
/// # Errors
/// As [`remote::fetch`] and [`push`].
///
/// # Cancel safety
/// As [`push`].
pub async fn copy<S, T>(
    source: &Client<S>,
    from: &ImageName,
    target: &Client<T>,
    to: &ImageName,
    options: &PushOptions,
    progress: Progress,
) -> Result<Digest, PushError>
where
    S: Transport + Clone + 'static,
    T: Transport + Clone + 'static,
{
    let artifact = remote::fetch(source, from, None).await.map_err(|error| PushError::Fetch(error.into()))?;
    push(target, &artifact, to, options, progress).await
}

/// As [`copy`], with the signatures, SBOMs and the like that refer to the image, to its children, or to one another.
///
/// # Errors
/// As [`remote::fetch_with_referrers`] and [`push_with_referrers`].
///
/// # Cancel safety
/// As [`push_with_referrers`].
pub async fn copy_with_referrers<S, T>(
    source: &Client<S>,
    from: &ImageName,
    target: &Client<T>,
    to: &ImageName,
    options: &PushOptions,
    progress: Progress,
) -> Result<Digest, PushError>
where
    S: Transport + Clone + 'static,
    T: Transport + Clone + 'static,
{
    let fetched = remote::fetch_with_referrers(source, from, None).await;
    let (artifact, referrers) = fetched.map_err(|error| PushError::Fetch(error.into()))?;
    push_with_referrers(target, &artifact, &referrers, to, options, progress).await
}

/// As [`push`], with what refers to the artifact: [`Archive::referrers`](crate::archive::Archive::referrers) of an archive, or what
/// [`remote::fetch_with_referrers`] found. A registry that keeps no list of referrers gets the index that stands in for it.
///
/// One artifact goes after the other, so that nothing refers to what is not there; the parts of each are numbered from 0 in
/// `progress`.
///
/// # Errors
/// As [`push`]. The artifact itself, and those that went before the one that failed, are there then.
///
/// # Cancel safety
/// As [`push`], for each.
pub async fn push_with_referrers<T: Transport + Clone + 'static>(
    client: &Client<T>,
    artifact: &Artifact,
    referrers: &[Attached],
    name: &ImageName,
    options: &PushOptions,
    progress: Progress,
) -> Result<Digest, PushError> {
    let digest = push(client, artifact, name, options, progress.clone()).await?;
    for attached in referrers {
        if let Some(name) = attached.name_in(&name.repository) {
            push(client, &attached.artifact, &name, options, progress.clone()).await?;
        }
    }
    Ok(digest)
}
