//! Another registry.

use anyhow::{Context as _, Result};
use reposure_client::{
    copy::{CopySource, copy},
    pull::{AttachedTree, Tree},
};
use reposure_oci::{
    Reference, Transport,
    place::RemoteName,
    sink::{RegistrySink, SavedTree},
};

use super::{Pull, PullArgs, children, shown};
use crate::other_registry::{Reach, client};

/// Copies the image into another registry, and then what refers to it, if that was fetched.
pub(super) async fn copy_to(pull: &Pull, tree: &Tree, to: &RemoteName, args: &PullArgs) -> Result<()> {
    let reach = Reach { plain_http: args.target_plain_http, authority: args.target_ca.as_deref() };
    let client = client(to, reach).await?;
    let name = to.image();
    // The other registry may well have the image's blobs under the name that they have here.
    let sink = RegistrySink::new(client, name.repository.clone()).mounting_from(&pull.name.repository);
    let copied = copy_tree(pull, tree, &sink, &name.reference).await;
    copied.with_context(|| format!("cannot copy it to {to}"))?;
    for AttachedTree { tag, tree } in &tree.referrers {
        let digest = tree.manifest.digest();
        let reference = tag.clone().map_or_else(|| Reference::Digest(digest.clone()), Reference::Tag);
        let copied = copy_tree(pull, tree, &sink, &reference).await;
        copied.with_context(|| format!("cannot copy referrer {digest} to {to}"))?;
    }
    Ok(())
}

async fn copy_tree<T: Transport>(
    pull: &Pull,
    tree: &Tree,
    sink: &RegistrySink<T>,
    reference: &Reference,
) -> Result<()> {
    let image = SavedTree::new(tree.manifest.clone(), &children(tree))?;
    let from = CopySource { session: pull.session.clone(), name: pull.name.clone(), options: pull.options };
    shown(async |progress| copy(&from, &image, sink, reference, progress).await).await?;
    Ok(())
}
