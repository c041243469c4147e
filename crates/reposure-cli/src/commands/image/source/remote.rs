//! Opening an image of another registry.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use reposure_oci::{Archive, place::RemoteName, remote};

use super::SourceArgs;
use crate::other_registry::{Reach, client};

/// Reads an image's manifests in another registry.
pub(super) async fn open(name: &RemoteName, args: &SourceArgs) -> Result<Archive> {
    let reach = Reach { plain_http: args.source_plain_http, authority: args.source_ca.as_deref() };
    let client = client(name, reach).await?;
    let read = remote::read(Arc::new(client), name.image(), args.platform.as_ref()).await;
    read.with_context(|| format!("cannot read registry:{name}"))
}
