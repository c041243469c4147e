//! `reposure image delete REGISTRY [IMAGE…]`

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_oci::{ImageName, Reference, Transport, registry};
use reposure_parcel::wire::Right;
use serde::Serialize;

use super::{check_name, list, not_in};
use crate::{connect, context::Context, format::Format, output};

/// Delete images from a registry
///
/// A tag goes alone: other tags of the same image stay. A digest goes with all its tags. The space is free once the registry
/// has collected its garbage.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The registry's name
    registry: String,
    /// The images: NAME, NAME:TAG or NAME@DIGEST
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    images: Vec<ImageName>,
    /// Delete every image
    #[arg(long, short = 'a')]
    all: bool,
}

#[derive(Serialize)]
struct Deleted {
    deleted: Vec<ImageName>,
}

pub(super) async fn run(context: &Context, args: DeleteArgs) -> Result<()> {
    let session = connect::session(context, &args.registry, Right::Admin).await?;
    for image in &args.images {
        check_name(&session, &image.repository)?;
    }
    let client = registry::Client::new(session);
    let images = if args.all { list::images(&client, &args.registry).await? } else { args.images };
    for image in &images {
        delete(&client, image, &args.registry).await?;
        if !matches!(context.format(), Format::Json | Format::Yaml) {
            output::print(&format!("{image}\n"))?;
        }
    }
    match context.format() {
        format @ (Format::Json | Format::Yaml) => output::structured(format, &Deleted { deleted: images }),
        _ => Ok(()),
    }
}

async fn delete<T: Transport>(client: &registry::Client<T>, image: &ImageName, registry: &str) -> Result<()> {
    let done = match &image.reference {
        Reference::Tag(tag) => client.delete_tag_safely(&image.repository, tag).await.map(drop),
        digest @ Reference::Digest(_) => client.delete_manifest(&image.repository, digest).await,
    };
    match done {
        Err(error) if error.is_not_found() => Err(not_in(image, registry).into()),
        done => done.with_context(|| format!("cannot delete {image} of registry {registry}")),
    }
}
