//! What refers to an image: signatures, SBOMs and the like.

use std::collections::BTreeSet;

use super::{
    error::RemoteError,
    tree::{AttachedTree, Tree, Walk},
};
use crate::{
    digest::Digest,
    name::{ImageName, Reference, RepositoryName, Tag},
    registry::Client,
    transport::Transport,
};

/// Reads the manifests of what refers to the image or index in `tree`, to its children, and to what was found so, into
/// [`Tree::referrers`]; by the API, by the tags that stand in for it, and by cosign's.
///
/// # Errors
/// When the registry cannot be asked, or one of them cannot be had or is malformed.
///
/// # Cancel safety
/// A call that is dropped has no effect but on `tree`.
pub async fn fetch_referrers<T: Transport>(
    client: &Client<T>,
    repository: &RepositoryName,
    tree: &mut Tree,
) -> Result<(), RemoteError> {
    let (mut seen, mut subjects) = (BTreeSet::new(), Vec::new());
    note(tree, &mut seen, &mut subjects);
    let mut walk = Walk::new(client, None);
    while let Some(subject) = subjects.pop() {
        for (tag, digest) in attached(client, repository, &subject).await? {
            if seen.contains(&digest) {
                continue;
            }
            let name = ImageName { repository: repository.clone(), reference: Reference::Digest(digest) };
            let found = walk.root(name).await?;
            note(&found, &mut seen, &mut subjects);
            tree.referrers.push(AttachedTree { tag, tree: found });
        }
    }
    Ok(())
}

/// Remembers the manifests of a tree as ones that may be referred to.
fn note(tree: &Tree, seen: &mut BTreeSet<Digest>, subjects: &mut Vec<Digest>) {
    let digest = tree.manifest.digest();
    if seen.insert(digest.clone()) {
        subjects.push(digest.clone());
    }
    tree.children.iter().for_each(|child| note(child, seen, subjects));
}

async fn attached<T: Transport>(
    client: &Client<T>,
    repository: &RepositoryName,
    subject: &Digest,
) -> Result<Vec<(Option<Tag>, Digest)>, RemoteError> {
    let failed = |source| RemoteError::Referrers { subject: subject.clone(), source };
    let listed = client.referrers(repository, subject, None).await.map_err(failed)?;
    let tagged = client.cosign_referrers(repository, subject).await.map_err(failed)?;
    let listed = listed.into_iter().map(|referrer| (None, referrer.descriptor.digest));
    Ok(listed.chain(tagged.into_iter().map(|(tag, descriptor)| (Some(tag), descriptor.digest))).collect())
}
