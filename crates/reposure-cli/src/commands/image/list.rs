//! `reposure image list REGISTRY`

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_oci::{ImageName, Reference, RepositoryName, Tag, registry};
use reposure_parcel::wire::Right;
use serde::Serialize;

use crate::{
    connect,
    context::Context,
    format::Format,
    output::{self, Rows},
};

/// The repositories whose tags are asked for at once.
const PARALLEL: usize = 8;

/// List the images in a registry
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The registry's name
    registry: String,
}

#[derive(Serialize)]
struct Listed {
    name: ImageName,
    repository: RepositoryName,
    tag: String,
}

pub(super) async fn run(context: &Context, args: &ListArgs) -> Result<()> {
    let session = connect::session(context, &args.registry, Right::Pull).await?;
    let client = registry::Client::new(session);
    let images = images(&client, &args.registry).await?;
    let mut rows = Rows::new(&["REPOSITORY", "TAG"], 2);
    let listed: Vec<Listed> = images.into_iter().map(listed).collect();
    for image in &listed {
        rows.push(vec![image.repository.to_string(), image.tag.clone()]);
    }
    let names: Vec<String> = listed.iter().map(|image| image.name.to_string()).collect();
    match context.format() {
        // The first Reposure listed names; scripts read them.
        Format::Bare => output::print(&output::lines(&names)),
        format => output::list(format, &listed, &names, &rows),
    }
}

fn listed(name: ImageName) -> Listed {
    Listed { repository: name.repository.clone(), tag: name.reference.to_string(), name }
}

/// Lists every tag of every repository, in order; the tags under which clients keep referrers are left out.
pub(super) async fn images<T: reposure_oci::Transport>(
    client: &registry::Client<T>,
    name: &str,
) -> Result<Vec<ImageName>> {
    let listed = client.all_tags(PARALLEL).await;
    let listed = listed.with_context(|| format!("cannot list the images of registry {name}"))?;
    let named = |(repository, tags): (RepositoryName, Vec<Tag>)| {
        let tags = tags.into_iter().filter(|tag| !registry::is_referrer_tag(tag));
        tags.map(move |tag| ImageName { repository: repository.clone(), reference: Reference::Tag(tag) })
    };
    Ok(listed.into_iter().flat_map(named).collect())
}
