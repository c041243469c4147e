//! Opening an image of another registry.

use anyhow::{Context as _, Result};
use reposure_oci::{
    Archive,
    archive::{Attached, Entry},
    place::RemoteName,
    remote,
};

use super::SourceArgs;
use crate::other_registry::{Reach, client};

/// Reads an image's manifests in another registry, and those of what refers to it, if that is wanted.
pub(super) async fn open(
    name: &RemoteName,
    args: &SourceArgs,
    referrers: bool,
) -> Result<(Archive, Vec<Attached>)> {
    let client = client(name, reach(args)).await?;
    let (image, only) = (name.image(), args.platform.as_ref());
    let fetched = if referrers {
        remote::fetch_with_referrers(&client, image, only).await
    } else {
        remote::fetch(&client, image, only).await.map(|artifact| (artifact, Vec::new()))
    };
    let (artifact, attached) = fetched.with_context(|| format!("cannot read registry:{name}"))?;
    let entry = Entry { names: vec![image.to_string()], artifact, omitted: Vec::new() };
    Ok((Archive { entries: vec![entry] }, attached))
}

/// Returns what options say of the registry of a source.
pub(super) fn reach(args: &SourceArgs) -> Reach<'_> {
    Reach { plain_http: args.source_plain_http, authority: args.source_ca.as_deref() }
}
