//! What refers to an image: signatures, SBOMs and the like.

use std::{collections::BTreeSet, sync::Arc};

use reposure_oci::{Digest, ImageName, Reference, Tag, registry};

use super::{
    PullError,
    tree::{AttachedTree, Client, INDEX_DEPTH, MANIFESTS, Tree, fetch},
};
use crate::session::Session;

/// Reads the manifests of what refers to the image or index in `tree`, to its children, and to what was found so, into
/// [`Tree::referrers`]; `name` is the one that it was read by.
///
/// # Errors
/// When the registry cannot be asked, or one of them cannot be had or is malformed.
///
/// # Cancel safety
/// Dropping the future ends every exchange.
pub async fn fetch_referrers(
    session: &Arc<Session>,
    name: &ImageName,
    tree: &mut Tree,
) -> Result<(), PullError> {
    let client = registry::Client::new(session.clone());
    let (mut seen, mut left) = (BTreeSet::new(), MANIFESTS);
    let mut subjects = Vec::new();
    note(tree, &mut seen, &mut subjects);
    while let Some(subject) = subjects.pop() {
        for (tag, digest) in attached(&client, name, &subject).await? {
            if seen.contains(&digest) {
                continue;
            }
            let one = ImageName { repository: name.repository.clone(), reference: Reference::Digest(digest) };
            let found = fetch(&client, one, INDEX_DEPTH, &mut left).await?;
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

async fn attached(
    client: &Client,
    name: &ImageName,
    subject: &Digest,
) -> Result<Vec<(Option<Tag>, Digest)>, PullError> {
    let failed = |source| PullError::Referrers { subject: subject.clone(), source };
    let listed = client.referrers(&name.repository, subject, None).await.map_err(failed)?;
    let tagged = client.cosign_referrers(&name.repository, subject).await.map_err(failed)?;
    let listed = listed.into_iter().map(|referrer| (None, referrer.descriptor.digest));
    Ok(listed.chain(tagged.into_iter().map(|(tag, descriptor)| (Some(tag), descriptor.digest))).collect())
}
