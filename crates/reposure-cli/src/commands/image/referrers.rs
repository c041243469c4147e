//! `reposure image referrers REGISTRY IMAGE`

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_client::session::Session;
use reposure_oci::{Digest, ImageName, MediaType, Referrer, Tag, registry};
use reposure_parcel::wire::Right;
use serde::Serialize;

use super::{check_name, not_in};
use crate::{
    connect,
    context::Context,
    output::{self, Rows},
};

/// List what refers to an image: signatures, SBOMs, attestations
///
/// They are what the registry itself lists or, where it does not, the index under the tag `sha256-DIGEST`; and the tags of
/// cosign's, which have no artifact type.
#[derive(Debug, Args)]
pub(crate) struct ReferrersArgs {
    /// The registry's name
    registry: String,
    /// The image: NAME, NAME:TAG or NAME@DIGEST
    image: ImageName,
    /// Only those of this artifact type
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<Tag>,
    media_type: MediaType,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

pub(super) async fn run(context: &Context, args: &ReferrersArgs) -> Result<()> {
    let session = connect::session(context, &args.registry, Right::Pull).await?;
    check_name(&session, &args.image.repository)?;
    let listed = list(&registry::Client::new(session), args).await?;
    let mut rows = Rows::new(&["DIGEST", "ARTIFACT TYPE", "TAG", "SIZE"], 3);
    for one in &listed {
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let tag = one.tag.as_ref().map(ToString::to_string);
        let kind = text(one.artifact_type.clone());
        rows.push(vec![one.digest.to_string(), kind, text(tag), one.size.to_string()]);
    }
    let names: Vec<String> = listed.iter().map(|one| one.digest.to_string()).collect();
    output::list(context.format(), &listed, &names, &rows)
}

async fn list(client: &registry::Client<Arc<Session>>, args: &ReferrersArgs) -> Result<Vec<Listed>> {
    let (image, registry) = (&args.image, &args.registry);
    let doing = || format!("cannot list the referrers of {image} of registry {registry}");
    let found = client.head_manifest(&image.repository, &image.reference).await.with_context(doing)?;
    let Some(subject) = found.map(|descriptor| descriptor.digest) else {
        return Err(not_in(image, registry).into());
    };
    let kind = args.artifact_type.as_deref();
    let referrers = client.referrers(&image.repository, &subject, kind).await.with_context(doing)?;
    let mut listed: Vec<Listed> = referrers.into_iter().map(|referrer| Listed::new(referrer, None)).collect();
    if kind.is_none() {
        let tagged = client.cosign_referrers(&image.repository, &subject).await.with_context(doing)?;
        listed.extend(
            tagged.into_iter().map(|(tag, descriptor)| {
                Listed::new(Referrer { descriptor, artifact_type: None }, Some(tag))
            }),
        );
    }
    Ok(listed)
}

impl Listed {
    fn new(referrer: Referrer, tag: Option<Tag>) -> Self {
        let Referrer { descriptor, artifact_type } = referrer;
        Self {
            digest: descriptor.digest,
            artifact_type,
            tag,
            media_type: descriptor.media_type,
            size: descriptor.size,
            annotations: descriptor.annotations,
        }
    }
}
