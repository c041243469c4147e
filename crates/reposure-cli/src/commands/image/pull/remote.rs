//! Another registry.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use reposure_client::{
    progress::Progress,
    pull::{PullError, PullOptions, Tree},
    session::Session,
};
use reposure_oci::{
    DirectTransport, ImageName,
    place::RemoteName,
    registry::{Client, Limits},
    remote,
    transfer::{PushOptions, push},
};

use super::{Pull, PullArgs, shown};
use crate::other_registry::{At, Reach, Side, client};

/// The blobs on their way at once. Each takes memory for its ranges in flight.
const BLOBS: usize = 2;
/// How long a range is asked for again: as long as by other pulls.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the images of one pull share.
struct Copy<'a> {
    pull: &'a Pull,
    source: Client<Arc<Session>>,
    target: Client<DirectTransport>,
    options: PushOptions,
}

/// Copies the image into another registry, and then what refers to it, if that was fetched.
pub(super) async fn copy_to(pull: &Pull, tree: &Tree, to: &RemoteName, args: &PullArgs) -> Result<()> {
    let limits = Limits { attempts: u32::MAX, pauses: PATIENCE, patience: PATIENCE, ..Limits::default() };
    let options = PushOptions {
        blobs: BLOBS,
        // A share, so that all blobs together have as many ranges in flight as were asked for.
        pieces: pull.options.jobs.unwrap_or(PullOptions::NEAR).div_ceil(BLOBS),
        // The image's name here is no hint where blobs could be mounted from: it would tell another party what a private registry
        // has, and helps only where that registry has a repository of the same name. If that is the very one that is copied to, its
        // blobs are found there without a mount.
        mount_from: None,
        ..PushOptions::default()
    };
    let source = Client::with_limits(pull.session.clone(), limits);
    let copy = Copy { pull, source, target: client(to, reach(args)).await?, options };
    let copied = copy.tree(tree, to.image()).await;
    copied.with_context(|| at_target(format!("cannot copy it to {to}")))?;
    for attached in &tree.referrers {
        let digest = attached.tree.manifest.digest();
        let copied = copy.tree(&attached.tree, &attached.name_in(&to.image().repository)).await;
        copied.with_context(|| at_target(format!("cannot copy referrer {digest} to {to}")))?;
    }
    Ok(())
}

/// Returns what options say of the registry of a target.
pub(super) fn reach(args: &PullArgs) -> Reach<'_> {
    Reach { plain_http: args.target_plain_http, authority: args.target_ca.as_deref() }
}

const fn at_target(doing: String) -> At {
    At { side: Side::Target, doing }
}

impl Copy<'_> {
    async fn tree(&self, tree: &Tree, name: &ImageName) -> Result<()> {
        let artifact = remote::artifact(&self.source, &self.pull.name.repository, tree).await;
        let artifact = artifact.map_err(PullError::from)?;
        let copy = async |progress: &Progress| {
            push(&self.target, &artifact, name, &self.options, progress.clone()).await
        };
        shown(copy).await?;
        Ok(())
    }
}
