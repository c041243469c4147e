//! Opening an image of another registry.

use anyhow::{Context as _, Result};
use reposure_oci::{Archive, archive::Entry, place::RemoteName, remote};

use super::SourceArgs;
use crate::other_registry::{Reach, client};

/// Reads an image's manifests in another registry.
pub(super) async fn open(name: &RemoteName, args: &SourceArgs) -> Result<Archive> {
    let reach = Reach { plain_http: args.source_plain_http, authority: args.source_ca.as_deref() };
    let client = client(name, reach).await?;
    let fetched = remote::fetch(&client, name.image(), args.platform.as_ref()).await;
    let artifact = fetched.with_context(|| format!("cannot read registry:{name}"))?;
    let entry = Entry { names: vec![name.image().to_string()], artifact, omitted: Vec::new() };
    Ok(Archive { entries: vec![entry] })
}
